#include "base/file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena *arena;
static struct diag diag;
static char folder[64];
static char path[256];

static int remove_one(const char *name, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(name);
}

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    strcpy(folder, "/tmp/rafter-file-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
}

static void tear_down(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    arena_free(arena);
}

TestSuite(file, .init = set_up, .fini = tear_down);

static void expect_error(const char *end)
{
    cr_assert_eq(diag.errors, 1);
    const char *line = diag_first_error(&diag);
    size_t length = strlen(line), tail = strlen(end);
    cr_expect(length >= tail && strcmp(line + length - tail, end) == 0, "%s", line);
}

static void expect_content(const char *name, const char *content)
{
    size_t length = 0;
    const char *text = file_read(arena, &diag, name, 1000, &length);
    cr_assert_not_null(text, "%s", diag_first_error(&diag));
    cr_expect_str_eq(text, content);
    cr_expect_eq(length, strlen(content));
}

/* Entries of the folder: nothing temporary may stay. */
static int entries(void)
{
    DIR *directory = opendir(folder);
    int count = 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2; /* "." and ".." */
}

Test(file, what_is_written_is_read)
{
    cr_assert(file_write(&diag, path, "hello\n", 6));
    expect_content(path, "hello\n");
    cr_expect_eq(entries(), 1);
}

Test(file, bytes_of_any_value_and_number_survive)
{
    enum { SIZE = 300000 };
    static char content[SIZE];
    for (int i = 0; i < SIZE; i++)
        content[i] = (char)(i * 7 % 256);
    cr_assert(file_write(&diag, path, content, SIZE));
    size_t length;
    const char *back = file_read(arena, &diag, path, SIZE, &length);
    cr_assert_not_null(back);
    cr_assert_eq(length, SIZE);
    cr_expect_eq(memcmp(back, content, SIZE), 0);
    cr_expect_eq(back[SIZE], '\0');
}

Test(file, an_empty_file_is_empty)
{
    cr_assert(file_write(&diag, path, "", 0));
    expect_content(path, "");
}

Test(file, reading_refuses_what_is_missing)
{
    size_t length;
    cr_expect_null(file_read(arena, &diag, path, 1000, &length));
    expect_error("/file: error: cannot open: No such file or directory");
}

Test(file, reading_refuses_a_folder)
{
    size_t length;
    cr_expect_null(file_read(arena, &diag, folder, 1000, &length));
    expect_error(": error: a folder, expected a file");
}

Test(file, reading_refuses_a_device)
{
    size_t length;
    cr_expect_null(file_read(arena, &diag, "/dev/zero", 1000, &length));
    expect_error("/dev/zero: error: not a regular file");
}

Test(file, reading_a_pipe_does_not_hang, .timeout = 10)
{
    cr_assert_eq(mkfifo(path, 0600), 0);
    size_t length;
    cr_expect_null(file_read(arena, &diag, path, 1000, &length));
    expect_error("not a regular file");
}

Test(file, reading_refuses_more_than_the_limit)
{
    cr_assert(file_write(&diag, path, "0123456789", 10));
    size_t length;
    cr_expect_not_null(file_read(arena, &diag, path, 10, &length));
    cr_expect_null(file_read(arena, &diag, path, 9, &length));
    expect_error(": error: larger than the 9 bytes allowed");
}

Test(file, the_limit_holds_where_stat_gives_no_size)
{
    size_t length;
    cr_expect_not_null(file_read(arena, &diag, "/proc/self/status", 100000, &length));
    cr_expect_gt(length, 0);
    cr_expect_null(file_read(arena, &diag, "/proc/self/status", 20, &length));
    expect_error("larger than the 20 bytes allowed");
}

Test(file, writing_replaces_and_keeps_the_mode)
{
    cr_assert(file_write(&diag, path, "old and longer", 14));
    cr_assert_eq(chmod(path, 0640), 0);
    cr_assert(file_write(&diag, path, "new", 3));
    expect_content(path, "new");
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 07777, 0640);
    cr_expect_eq(entries(), 1);
}

Test(file, a_new_file_has_the_mode_that_umask_leaves)
{
    mode_t old = umask(027);
    cr_assert(file_write(&diag, path, "x", 1));
    umask(old);
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 07777, 0640);
}

Test(file, writing_is_atomic_for_readers)
{
    cr_assert(file_write(&diag, path, "old", 3));
    int reader = open(path, O_RDONLY);
    cr_assert(file_write(&diag, path, "new", 3));
    char text[4] = "";
    cr_expect_eq(read(reader, text, 3), 3);
    close(reader);
    cr_expect_str_eq(text, "old", "who had it open sees the whole old file");
}

Test(file, writing_follows_a_symbolic_link)
{
    char link[300];
    snprintf(link, sizeof link, "%s/link", folder);
    cr_assert(file_write(&diag, path, "old", 3));
    cr_assert_eq(symlink("file", link), 0);
    cr_assert(file_write(&diag, link, "new", 3));
    struct stat status;
    cr_assert_eq(lstat(link, &status), 0);
    cr_expect(S_ISLNK(status.st_mode), "the link stays a link");
    expect_content(path, "new");
}

Test(file, writing_refuses_a_link_to_nothing)
{
    cr_assert_eq(symlink("nowhere", path), 0);
    cr_expect_not(file_write(&diag, path, "x", 1));
    expect_error("cannot write: the symbolic link leads to nothing");
    cr_expect_eq(entries(), 1);
}

Test(file, writing_refuses_a_folder)
{
    cr_expect_not(file_write(&diag, folder, "x", 1));
    expect_error("cannot write: a folder has this name");
}

Test(file, writing_names_a_missing_folder)
{
    char below[300];
    snprintf(below, sizeof below, "%s/none/file", folder);
    cr_expect_not(file_write(&diag, below, "x", 1));
    expect_error("/none/file: error: cannot write: No such file or directory");
}

Test(file, a_failed_write_leaves_the_old_file_and_nothing_else)
{
    char name[400]; /* fits NAME_MAX; the temporary name beside it does not */
    snprintf(name, sizeof name, "%s/%0250d", folder, 0);
    FILE *file = fopen(name, "w");
    cr_assert_not_null(file);
    fputs("old", file);
    fclose(file);
    cr_expect_not(file_write(&diag, name, "new", 3));
    expect_error("cannot write: File name too long");
    diag = (struct diag){.arena = arena};
    expect_content(name, "old");
    cr_expect_eq(entries(), 1);
}

Test(file, a_character_device_is_written_straight)
{
    cr_expect(file_write(&diag, "/dev/null", "x", 1));
    struct stat status;
    cr_assert_eq(stat("/dev/null", &status), 0);
    cr_expect(S_ISCHR(status.st_mode), "it is still the device");
    cr_expect_not(file_write(&diag, "/dev/full", "x", 1));
    expect_error("/dev/full: error: cannot write: No space left on device");
}

Test(file, a_pipe_without_a_reader_does_not_hang, .timeout = 10)
{
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_not(file_write(&diag, path, "x", 1));
    expect_error("cannot write: No such device or address");
}

Test(file, standard_output_is_written_where_it_stands)
{
    int log = open(path, O_RDWR | O_CREAT, 0600);
    int saved = dup(STDOUT_FILENO);
    cr_assert(log >= 0 && saved >= 0);
    cr_assert_eq(write(log, "before ", 7), 7);
    dup2(log, STDOUT_FILENO);
    bool written = file_write(&diag, "/dev/stdout", "after", 5);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(log);
    cr_expect(written);
    expect_content(path, "before after");
}

Test(file, pieces)
{
    struct file_writer writer;
    cr_assert(file_write(&diag, path, "old", 3));
    cr_assert(file_writer_open(&writer, &diag, path));
    cr_assert(file_writer_add(&writer, &diag, "one ", 4));
    cr_assert(file_writer_add(&writer, &diag, "two", 3));
    expect_content(path, "old");
    cr_assert(file_writer_close(&writer, &diag, true));
    expect_content(path, "one two");
    cr_expect_eq(entries(), 1);
}

Test(file, pieces_not_kept)
{
    struct file_writer writer;
    cr_assert(file_writer_open(&writer, &diag, path));
    cr_assert(file_writer_add(&writer, &diag, "one", 3));
    cr_assert(file_writer_close(&writer, &diag, false));
    cr_expect_eq(entries(), 0);
}

Test(file, pieces_for_a_full_device)
{
    struct file_writer writer;
    cr_assert(file_writer_open(&writer, &diag, "/dev/full"));
    cr_expect_not(file_writer_add(&writer, &diag, "one", 3));
    cr_expect_not(file_writer_add(&writer, &diag, "two", 3));
    cr_expect_not(file_writer_close(&writer, &diag, true));
    expect_error("cannot write: No space left on device");
}
