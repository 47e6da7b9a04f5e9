/* NumPy's .npy files, version 1.0, of a matrix of float32: what numpy.load reads
 * (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). */
#ifndef RAFTER_EXEC_NPY_H
#define RAFTER_EXEC_NPY_H

#include "base/file.h"

struct npy {
    struct file_writer file;
    size_t rows, cols, rows_written;
};

/* Begins a matrix [rows][cols]; rows are added as they come, and npy_close puts the file in its place, which
 * it refuses when rows are missing. The old file stays until then, and for good without `keep`. All return
 * false with diag; a matrix that was opened must be closed. */
bool npy_open(struct npy *npy, struct diag *diag, const char *path, size_t rows, size_t cols);
bool npy_add(struct npy *npy, struct diag *diag, const float *values, size_t rows);
bool npy_close(struct npy *npy, struct diag *diag, bool keep);

/* All at once. */
bool npy_write(struct diag *diag, const char *path, const float *values, size_t rows, size_t cols);

#endif
