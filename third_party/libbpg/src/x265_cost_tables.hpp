#pragma once

namespace bpg {

/// x265 keeps what a motion vector costs at each QP in tables that all its encoders share, and
/// fills one when a picture first has that QP. One thread fills at a time and none reads before it
/// is through; whoever holds this lock knows that none is filled. Where x265 is a shared library,
/// or the linker cannot put itself between, the lock keeps nobody out.
void lock_cost_tables();
void unlock_cost_tables();

}  // namespace bpg
