#pragma once

#include <stdexcept>
#include <string>

namespace bpg {

/// Base of everything that libbpg throws on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An argument or option is outside what is allowed, or the encoder failed.
class EncodeError : public Error {
 public:
  using Error::Error;
};

/// The system gives no thread that the encoder needs.
class NoThreadError : public EncodeError {
 public:
  using EncodeError::EncodeError;
};

/// The bytes are not a BPG file, or a damaged one.
class DecodeError : public Error {
 public:
  using Error::Error;
};

/// A legal file or option that this build cannot handle (11, 13 and 14 bits).
class UnsupportedError : public Error {
 public:
  using Error::Error;
};

}  // namespace bpg
