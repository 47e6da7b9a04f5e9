#include "exec/kernels/lane_table.h"

const struct lane_kernels lane_kernels_portable = LANE_TABLE;
