#include "intra/coded_picture.hpp"

#include <algorithm>

namespace bpg::intra {

int chroma_qp(int chroma_idc, int qp) {
  constexpr int kFirstBent = 30;
  constexpr int kBent[] = {29, 30, 31, 32, 33, 33, 34, 34, 35, 35, 36, 36, 37, 37};
  constexpr int kEndBent = kFirstBent + 14;
  if (chroma_idc != 1) {
    return std::min(qp, 51);
  }
  return qp < kFirstBent ? qp : qp >= kEndBent ? qp - 6 : kBent[qp - kFirstBent];
}

}  // namespace bpg::intra
