/* Probes of this machine: only what holds on a busy machine too, and what can be told from made-up values. */
#include "exec/probe/disk.h"
#include "exec/probe/machine.h"
#include "exec/probe/modes.h"
#include "exec/probe/rates.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena *arena;
static struct diag diag;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(exec_probe, .init = set_up, .fini = tear_down);

/* ---- rates ---- */

Test(exec_probe, bandwidths_fall_with_distance)
{
    enum { NEAR = 16 << 10, FAR = 256 << 20 };
    struct team *team = team_new(arena, &diag, 1);
    char *buffer = buffer_new(&diag, FAR);
    cr_assert(team && buffer, "%s", diag_first_error(&diag));
    memset(buffer, 1, FAR);
    /* caches give several times what memory does; a neighbour takes either for a while, so the best of many
     */
    double near = read_bandwidth(team, buffer, NEAR, 20), far = read_bandwidth(team, buffer, FAR, 3);
    cr_expect_gt(near, far);
    cr_expect_gt(far, 1e8);
    cr_expect_gt(write_bandwidth(team, buffer, NEAR, 5), 1e8);
    cr_expect_gt(copy_bandwidth(team, buffer, buffer + NEAR, NEAR, 5), 1e8);
    cr_expect_gt(written_read_bandwidth(team, buffer, FAR, false), 1e8);
    cr_expect_gt(written_read_bandwidth(team, buffer, FAR, true), 1e8);
    buffer_free(buffer, FAR);
}

Test(exec_probe, writes_and_copies_reach_every_byte)
{
    enum { BYTES = 64 << 10 };
    struct team *team = team_new(arena, &diag, 0);
    char *buffer = buffer_new(&diag, 2 * BYTES);
    cr_assert(team && buffer, "%s", diag_first_error(&diag));
    write_bandwidth(team, buffer, BYTES, 1);
    copy_bandwidth(team, buffer + BYTES, buffer, BYTES, 1);
    for (int i = 0; i < BYTES; i += 8)
        cr_assert(buffer[i] == 1 && buffer[BYTES + i] == 1, "byte %d", i);
    cr_expect_eq(read_bandwidth(team, buffer, 100, 1), 0, "less than a step of lines");
    buffer_free(buffer, 2 * BYTES);
}

Test(exec_probe, peaks_are_there_where_the_instructions_are)
{
    struct team *team = team_new(arena, &diag, 1);
    cr_assert(team);
    for (int isa = ISA_PORTABLE; isa <= (int)cpu_isa(); isa++)
        cr_expect_gt(arithmetic_peak(team, (enum isa)isa, ARITHMETIC_F32, 1), 1e8, "%s",
                     isa_name((enum isa)isa));
    cr_expect_eq(arithmetic_peak(team, ISA_PORTABLE, ARITHMETIC_BF16, 1), 0);
    cr_expect_eq(arithmetic_peak(team, ISA_PORTABLE, ARITHMETIC_INT8, 1), 0);
    cr_expect_eq(arithmetic_peak(team, ISA_AVX512, ARITHMETIC_BF16, 1), 0, "no dot products of bf16");
}

Test(exec_probe, starting_a_team_takes_time)
{
    struct team *team = team_new(arena, &diag, 2);
    cr_assert(team);
    double seconds = team_start_seconds(team);
    cr_expect(seconds > 0 && seconds < 0.1, "%g s", seconds);
}

/* ---- modes ---- */

/* Values around `centre`, within `scatter` of it, evenly. */
static void add_around(double *values, size_t *count, size_t more, double centre, double scatter)
{
    for (size_t i = 0; i < more; i++)
        values[(*count)++] = centre * (1 + scatter * (2.0 * (double)i / (double)(more - 1) - 1));
}

Test(exec_probe, two_modes_are_told_apart)
{
    double values[64];
    size_t count = 0;
    add_around(values, &count, 40, 34, 0.03);
    add_around(values, &count, 20, 19, 0.05);
    struct modes modes = modes_of(values, count);
    cr_expect_eq(modes.count, 2);
    cr_expect_float_eq(modes.value[0], 34, 0.1);
    cr_expect_float_eq(modes.value[1], 19, 0.1);
    cr_expect_float_eq(modes.share[0], 2.0 / 3, 1e-9);
    cr_expect_float_eq(modes.share[0] + modes.share[1], 1, 1e-9);
    cr_expect(modes.noise > 0 && modes.noise < 0.05, "%g", modes.noise);
}

Test(exec_probe, one_mode_is_not_cut)
{
    double values[64];
    size_t count = 0;
    add_around(values, &count, 60, 30, 0.04);
    struct modes modes = modes_of(values, count);
    cr_expect_eq(modes.count, 1);
    cr_expect_float_eq(modes.value[0], 30, 0.1);
    double one = 5, same[] = {7, 7, 7, 7};
    cr_expect_eq(modes_of(&one, 1).count, 1);
    cr_expect_eq(modes_of(same, 4).count, 1);
    cr_expect_eq(modes_of(same, 4).noise, 0);
}

Test(exec_probe, a_straggler_is_no_mode)
{
    double values[64];
    size_t count = 0;
    add_around(values, &count, 40, 30, 0.02);
    values[count++] = 3;
    cr_expect_eq(modes_of(values, count).count, 1);
}

/* ---- machines ---- */

static void put(const char *root, const char *path, const char *content)
{
    char name[512];
    int length = snprintf(name, sizeof name, "%s/%s", root, path);
    cr_assert(length > 0 && (size_t)length < sizeof name);
    for (char *slash = strchr(name + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(name, 0700);
        *slash = '/';
    }
    FILE *file = fopen(name, "w");
    cr_assert(file, "%s", name);
    fputs(content, file);
    fclose(file);
}

/* Processor `cpu` of core `core`, with 2 hardware threads each: L1 and L2 of its own, L3 of two cores. */
static void put_processor(const char *root, int cpu)
{
    static const char *const parts[] = {"type", "level", "size", "shared_cpu_list"};
    char path[128], siblings[32], pair[32];
    int core = cpu / 2, half = cpu / 4;
    snprintf(siblings, sizeof siblings, "%d-%d\n", 2 * core, 2 * core + 1);
    snprintf(pair, sizeof pair, "%d-%d\n", 4 * half, 4 * half + 3);
    const char *const caches[][4] = {{"Data\n", "1\n", "32K\n", siblings},
                                     {"Instruction\n", "1\n", "64K\n", siblings},
                                     {"Unified\n", "2\n", "1024K\n", siblings},
                                     {"Unified\n", "3\n", "32M\n", pair}};
    snprintf(path, sizeof path, "sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    put(root, path, siblings);
    for (int index = 0; index < 4; index++)
        for (int part = 0; part < 4; part++) {
            snprintf(path, sizeof path, "sys/devices/system/cpu/cpu%d/cache/index%d/%s", cpu, index,
                     parts[part]);
            put(root, path, caches[index][part]);
        }
}

Test(exec_probe, another_machine_is_read)
{
    char root[] = "/tmp/rafter-machine-XXXXXX", command[64];
    cr_assert(mkdtemp(root));
    put(root, "proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel\t\t: 1\nmodel name\t: Zen test\n");
    put(root, "proc/meminfo", "MemTotal:       1048576 kB\nMemFree: 1 kB\n");
    for (int cpu = 0; cpu < 8; cpu++)
        put_processor(root, cpu);
    struct machine machine;
    cr_assert(machine_read(&machine, arena, &diag, root), "%s", diag_first_error(&diag));
    cr_expect_str_eq(machine.name, "Zen test");
    cr_expect_str_eq(machine.vendor, "AMD");
    cr_expect_eq(machine.processors, 8);
    cr_expect_eq(machine.cores, 4);
    cr_expect_eq(machine.memory_bytes, 1048576.0 * 1024);
    cr_expect_eq(machine.caches[1].bytes, 4 * 32 * 1024.0);
    cr_expect_eq(machine.caches[1].instances, 4);
    cr_expect_eq(machine.caches[2].bytes, 4 * 1024 * 1024.0);
    cr_expect_eq(machine.caches[3].bytes, 2 * 32 * 1024 * 1024.0);
    cr_expect_eq(machine.caches[3].instances, 2);
    cr_expect_eq(machine.caches[4].instances, 0);
    snprintf(command, sizeof command, "rm -r %s", root);
    cr_expect_eq(system(command), 0); // NOLINT(cert-env33-c): a folder of this test
}

Test(exec_probe, this_machine_is_read)
{
    struct machine machine;
    cr_assert(machine_read(&machine, arena, &diag, ""), "%s", diag_first_error(&diag));
    cr_expect_geq(machine.cores, 1);
    cr_expect_geq(machine.processors, machine.cores);
}

Test(exec_probe, a_folder_without_a_machine_is_refused)
{
    struct machine machine;
    cr_expect_not(machine_read(&machine, arena, &diag, "/nonexistent"));
    cr_expect(strstr(diag_first_error(&diag), "/nonexistent/sys"));
}

/* ---- disks ---- */

Test(exec_probe, a_disk_is_read_or_says_why_not)
{
    struct disk_rates rates;
    const char *why;
    if (disk_probe(".", 8 << 20, 0.05, &rates, &why)) {
        cr_expect(rates.sequential > 0 && rates.random > 0 && rates.latency > 0 && rates.capacity > 0);
        cr_expect_null(why);
    } else {
        cr_expect(why && *why);
    }
    cr_expect_not(disk_probe("/nonexistent", 8 << 20, 0.05, &rates, &why));
    cr_expect_str_eq(why, "no file can be made there");
}
