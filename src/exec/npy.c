#include "exec/npy.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are written as they lie in memory");

/* The header is padded so that values begin at a multiple of 64 bytes. */
enum { HEADER_BYTES = 128, MAGIC_BYTES = 10 };

static void make_header(char header[HEADER_BYTES], size_t rows, size_t cols)
{
    const size_t words = HEADER_BYTES - MAGIC_BYTES;
    memset(header, ' ', HEADER_BYTES);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)words;
    header[9] = 0;
    int length = snprintf(header + MAGIC_BYTES, words,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, cols);
    header[MAGIC_BYTES + length] = ' ';
    header[HEADER_BYTES - 1] = '\n';
}

static bool wrong_rows(const struct npy *npy, struct diag *diag, size_t rows)
{
    return diag_error(diag, (struct source_location){npy->file.path, 0, 0},
                      "a matrix of %zu rows cannot be written with %zu", npy->rows, rows);
}

bool npy_open(struct npy *npy, struct diag *diag, const char *path, size_t rows, size_t cols)
{
    char header[HEADER_BYTES];
    *npy = (struct npy){.file.fd = -1, .rows = rows, .cols = cols};
    if (cols > 0 && rows > (size_t)PTRDIFF_MAX / sizeof(float) / cols)
        return diag_error(diag, (struct source_location){path, 0, 0},
                          "a matrix of %zu x %zu values is more than a file can hold", rows, cols);
    make_header(header, rows, cols);
    return file_writer_open(&npy->file, diag, path) &&
           file_writer_add(&npy->file, diag, header, sizeof header);
}

bool npy_add(struct npy *npy, struct diag *diag, const float *values, size_t rows)
{
    if (rows > npy->rows - npy->rows_written)
        return wrong_rows(npy, diag, npy->rows_written + rows);
    npy->rows_written += rows;
    return file_writer_add(&npy->file, diag, (const char *)values, rows * npy->cols * sizeof *values);
}

bool npy_close(struct npy *npy, struct diag *diag, bool keep)
{
    if (!keep || npy->rows_written == npy->rows)
        return file_writer_close(&npy->file, diag, keep);
    file_writer_close(&npy->file, diag, false);
    return wrong_rows(npy, diag, npy->rows_written);
}

bool npy_write(struct diag *diag, const char *path, const float *values, size_t rows, size_t cols)
{
    struct npy npy;
    bool written = npy_open(&npy, diag, path, rows, cols) && npy_add(&npy, diag, values, rows);
    return npy_close(&npy, diag, written) && written;
}
