// A fuzz target without libFuzzer, for any compiler: replay_TARGET INPUTS [PATH ...]
//
// Each file named, and each file of a folder named, is an input; so are INPUTS changed forms of
// each, or without paths INPUTS drawn ones. The same inputs each time.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;
using Input = std::vector<std::uint8_t>;
using Random = std::minstd_rand;

constexpr std::size_t kDrawnBytes = 300;

void run(const Input& input) { LLVMFuzzerTestOneInput(input.data(), input.size()); }

std::size_t draw(Random& random, std::size_t below) {
  return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
}

std::uint8_t draw_byte(Random& random) { return static_cast<std::uint8_t>(draw(random, 256)); }

Input read(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// A few bytes changed; one in four is cut too.
Input change(Input input, Random& random) {
  if (input.empty()) {
    return input;
  }
  for (std::size_t i = draw(random, 4) + 1; i > 0; --i) {
    input[draw(random, input.size())] = draw_byte(random);
  }
  if (draw(random, 4) == 0) {
    input.resize(draw(random, input.size()));
  }
  return input;
}

std::size_t replay_file(const fs::path& path, std::size_t changes, Random& random) {
  const Input input = read(path);
  run(input);
  for (std::size_t i = 0; i < changes; ++i) {
    run(change(input, random));
  }
  return 1 + changes;
}

std::size_t replay(const fs::path& path, std::size_t changes, Random& random) {
  if (!fs::is_directory(path)) {
    return replay_file(path, changes, random);
  }
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file() && entry.path().extension() == ".bpg") {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());  // a folder's own order is not the same everywhere
  std::size_t inputs = 0;
  for (const fs::path& file : files) {
    inputs += replay_file(file, changes, random);
  }
  return inputs;
}

std::size_t replay_drawn(std::size_t inputs, Random& random) {
  Input input(kDrawnBytes);
  for (std::size_t i = 0; i < inputs; ++i) {
    for (std::uint8_t& byte : input) {
      byte = draw_byte(random);
    }
    run(input);
  }
  return inputs;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s INPUTS [PATH ...]\n", argv[0]);
    return 2;
  }
  const std::size_t wanted = std::strtoul(argv[1], nullptr, 10);
  Random random;
  std::size_t inputs = argc == 2 ? replay_drawn(wanted, random) : 0;
  for (int i = 2; i < argc; ++i) {
    inputs += replay(argv[i], wanted, random);
  }
  std::printf("%zu inputs\n", inputs);
  return inputs == 0 ? 1 : 0;
}
