/* shares_fixed at a fixed address: its addresses and its offsets in the file agree (mod 2 MiB).
 * flags: -no-pie -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "shares_fixed.c"
