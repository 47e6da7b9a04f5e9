/* .npy files: bytes as the format's description has them, and nothing left of what was not finished. */
#include "exec/npy.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct arena *arena;
static struct diag diag;
static char folder[64];
static const char *path;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    strcpy(folder, "/tmp/rafter-npy-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    path = arena_printf(arena, "%s/a.npy", folder);
}

static void tear_down(void)
{
    unlink(path);
    rmdir(folder);
    arena_free(arena);
}

TestSuite(exec_npy, .init = set_up, .fini = tear_down);

static void expect_file(size_t rows, size_t cols, const float *values)
{
    size_t length = 0;
    char *bytes = file_read(arena, &diag, path, 1 << 20, &length);
    cr_assert_not_null(bytes, "%s", diag_first_error(&diag));
    cr_assert_eq(length, 128 + rows * cols * sizeof *values);
    cr_expect_eq(memcmp(bytes, "\x93NUMPY\x01\x00\x76\x00", 10), 0,
                 "magic, version 1.0, 118 bytes of header");
    const char *words =
        arena_printf(arena, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, cols);
    cr_expect_eq(strncmp(bytes + 10, words, strlen(words)), 0);
    for (size_t i = 10 + strlen(words); i < 127; i++)
        cr_expect_eq(bytes[i], ' ');
    cr_expect_eq(bytes[127], '\n');
    if (rows > 0)
        cr_expect_eq(memcmp(bytes + 128, values, length - 128), 0);
}

Test(exec_npy, at_once)
{
    const float values[] = {1, -2, 0.5F, 3e38F, 0, -0.0F};
    cr_assert(npy_write(&diag, path, values, 2, 3));
    expect_file(2, 3, values);
}

Test(exec_npy, row_by_row)
{
    const float values[] = {1, 2, 3, 4, 5, 6};
    struct npy npy;
    cr_assert(npy_open(&npy, &diag, path, 3, 2));
    cr_assert(npy_add(&npy, &diag, values, 1));
    cr_expect_neq(access(path, F_OK), 0, "nothing is there before it is whole");
    cr_assert(npy_add(&npy, &diag, values + 2, 2));
    cr_assert(npy_close(&npy, &diag, true));
    expect_file(3, 2, values);
}

Test(exec_npy, no_rows)
{
    cr_assert(npy_write(&diag, path, NULL, 0, 5));
    expect_file(0, 5, NULL);
}

Test(exec_npy, rows_missing)
{
    const float values[] = {1, 2};
    struct npy npy;
    cr_assert(npy_open(&npy, &diag, path, 3, 2));
    cr_assert(npy_add(&npy, &diag, values, 1));
    cr_expect_not(npy_close(&npy, &diag, true));
    cr_expect_not_null(strstr(diag_first_error(&diag), "a matrix of 3 rows cannot be written with 1"));
    cr_expect_eq(rmdir(folder), 0, "no file is left");
}

Test(exec_npy, rows_too_many)
{
    const float values[] = {1, 2, 3, 4};
    struct npy npy;
    cr_assert(npy_open(&npy, &diag, path, 1, 2));
    cr_expect_not(npy_add(&npy, &diag, values, 2));
    cr_expect(npy_close(&npy, &diag, false));
    cr_expect_eq(rmdir(folder), 0, "no file is left");
}

Test(exec_npy, old_files_stay_until_there_is_a_new_one)
{
    const float values[] = {1, 2, 3, 4}, other[] = {5, 6};
    struct npy npy;
    cr_assert(npy_write(&diag, path, values, 2, 2));
    cr_assert(npy_open(&npy, &diag, path, 1, 2));
    cr_assert(npy_add(&npy, &diag, other, 1));
    cr_assert(npy_close(&npy, &diag, false));
    expect_file(2, 2, values);
    cr_assert(npy_write(&diag, path, other, 1, 2));
    expect_file(1, 2, other);
}

Test(exec_npy, sizes_that_overflow)
{
    struct npy npy;
    cr_expect_not(npy_open(&npy, &diag, path, SIZE_MAX / 2, SIZE_MAX / 2));
    cr_expect_not_null(strstr(diag_first_error(&diag), "is more than a file can hold"));
    cr_expect_not(npy_close(&npy, &diag, true));
}

Test(exec_npy, places_that_cannot_be_written)
{
    const float values[] = {1};
    cr_expect_not(npy_write(&diag, arena_printf(arena, "%s/none/a.npy", folder), values, 1, 1));
    cr_expect_eq(diag.errors, 1);
}
