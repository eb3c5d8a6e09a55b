#include "failure.hpp"

#include <exception>
#include <new>

#include "bpg/error.hpp"

namespace npp {
namespace {

Failure with_message() {
  try {
    throw;
  } catch (const bpg::EncodeError& error) {
    return {Failure::Kind::encode, error.what()};
  } catch (const bpg::DecodeError& error) {
    return {Failure::Kind::decode, error.what()};
  } catch (const bpg::UnsupportedError& error) {
    return {Failure::Kind::unsupported, error.what()};
  } catch (const std::bad_alloc&) {
    return {Failure::Kind::memory, {}};
  } catch (const std::exception& error) {
    return {Failure::Kind::other, error.what()};
  } catch (...) {
    return {Failure::Kind::other, "unknown C++ exception"};
  }
}

}  // namespace

Failure Failure::current() noexcept {
  try {
    return with_message();
  } catch (const std::bad_alloc&) {
    return {Kind::memory, {}};
  }
}

}  // namespace npp
