/* Roofline charts of estimates made by hand. */
#include "base/file.h"
#include "plot/axes.h"
#include "plot/roofline.h"
#include "plot/roofline_data.h"
#include "plot_fixture.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- gathering --- */

struct gathered {
    struct arena *arena;
    struct diag diag;
    struct roofline_chart chart;
    bool ok;
};

static struct gathered gather(const struct fixture *const *fixtures, size_t count)
{
    const struct resolved *resolved[SERIES_MOST + 1];
    const struct breakdown *breakdowns[SERIES_MOST + 1];
    struct gathered g = {.arena = arena_new(0)};
    g.diag.arena = g.arena;
    for (size_t i = 0; i < count; i++) {
        resolved[i] = &fixtures[i]->resolved;
        breakdowns[i] = &fixtures[i]->breakdown;
    }
    g.ok = roofline_gather(&g.chart, g.arena, &g.diag, resolved, breakdowns, count);
    return g;
}

static const struct roofline_point *point_named(const struct roofline_chart *chart, const char *name,
                                                int phase)
{
    for (size_t i = 0; i < chart->point_count; i++)
        if (!strcmp(chart->points[i].name, name) && chart->points[i].phase == phase)
            return &chart->points[i];
    return NULL;
}

static bool omits(const struct roofline_chart *chart, const char *name)
{
    for (size_t i = 0; i < chart->omission_count; i++)
        if (!strcmp(chart->omissions[i].name, name))
            return true;
    return false;
}

static bool about(double value, double expected)
{
    return fabs(value - expected) <= 1e-9 * fabs(expected);
}

static struct fixture one, two;

static struct gathered gather_one(const struct row *prefill, const struct row *decode, int count)
{
    set_up(&one, prefill, decode, count);
    return gather(&(const struct fixture *){&one}, 1);
}

Test(plot_roofline, roofs_are_the_devices_memories)
{
    struct gathered g = gather_one(llama_prefill, llama_decode, LLAMA_ROWS);
    cr_assert(g.ok, "%s", diag_first_error(&g.diag));
    const struct roofline_series *series = &g.chart.series[0];
    cr_assert(series->roof_count == 2); /* the per-unit L1 is no roof of the device */
    cr_assert(series->roofs[0].kind == ROOF_CACHE && series->roofs[0].bandwidth == 10e12);
    cr_assert(series->roofs[1].kind == ROOF_MEMORY && series->roofs[1].bandwidth == 4e12);
    cr_assert(!strcmp(series->roofs[1].label, "HBM  4 TB/s"), "%s", series->roofs[1].label);
    cr_assert(about(roofline_bound(series, 10), 40e12));
    cr_assert(about(roofline_bound(series, 1000), 1000e12));
    arena_free(g.arena);
}

Test(plot_roofline, ceilings_are_those_in_use)
{
    struct gathered g = gather_one(llama_prefill, llama_decode, LLAMA_ROWS);
    const struct roofline_series *series = &g.chart.series[0];
    cr_assert(series->ceiling_count == 2); /* bf16 and fp32, not the fp8 that nothing runs in */
    cr_assert(series->ceilings[0].matrix && series->ceilings[0].flops == 1000e12);
    cr_assert(!strcmp(series->ceilings[0].label, "matrix bf16  1 PFLOP/s"), "%s", series->ceilings[0].label);
    cr_assert(!series->ceilings[1].matrix && series->ceilings[1].flops == 60e12);
    arena_free(g.arena);
}

Test(plot_roofline, points_are_flops_bytes_and_times_of_all_executions)
{
    struct gathered g = gather_one(llama_prefill, llama_decode, LLAMA_ROWS);
    const struct roofline_point *point = point_named(&g.chart, "qkv_proj", 1);
    cr_assert(point != NULL);
    cr_assert(about(point->flops, 4.0e8 * 32 * 255));
    cr_assert(about(point->bytes, 5.05e7 * 32 * 255)); /* without the bytes on the wire */
    cr_assert(about(point->time, 1.65e-5 * 32 * 255));
    double sum = 0;
    for (size_t i = 0; i < g.chart.point_count; i++)
        sum += g.chart.points[i].phase == 0 ? g.chart.points[i].share : 0;
    cr_assert(sum > 0.999 && sum < 1, "%g", sum); /* all but the embedding */
    for (size_t i = 1; i < g.chart.point_count; i++)
        cr_assert(g.chart.points[i - 1].share >= g.chart.points[i].share);
    arena_free(g.arena);
}

Test(plot_roofline, equal_names_in_a_phase_are_one_point)
{
    static const struct row rows[] = {{"o_proj", OP_GEMM, 1e12, 1e10, 2e-3, 3},
                                      {"o_proj", OP_GEMM, 4e12, 2e10, 4e-3, 1}};
    struct gathered g = gather_one(rows, rows, 2);
    cr_assert(g.chart.point_count == 2); /* one in each phase */
    const struct roofline_point *point = point_named(&g.chart, "o_proj", 0);
    cr_assert(about(point->flops, 7e12) && about(point->bytes, 5e10) && about(point->time, 6e-3));
    cr_assert(about(point->share, 1));
    arena_free(g.arena);
}

Test(plot_roofline, rates_are_of_one_execution_on_one_device)
{
    static const struct row rows[] = {{"o_proj", OP_GEMM, 1e12, 1e10, 2e-3, 4}};
    set_up(&one, rows, rows, 1);
    one.prefill[0].each.time = 3e-3; /* four of them take 2 ms of the phase, in a pipeline of many stages */
    struct gathered g = gather(&(const struct fixture *){&one}, 1);
    cr_assert(about(point_named(&g.chart, "o_proj", 0)->time, 12e-3));
    cr_assert(about(point_named(&g.chart, "o_proj", 1)->time, 2e-3));
    arena_free(g.arena);
}

Test(plot_roofline, operators_without_a_place_are_named)
{
    static const struct row rows[] = {
        {"good", OP_GEMM, 1e12, 1e10, 2e-3, 1},     {"copy", OP_GATHER, 0, 1e10, 1e-3, 1},
        {"no_bytes", OP_GEMM, 1e12, 0, 1e-3, 1},    {"allreduce", OP_COLLECTIVE, 1e6, 1e7, 1e-3, 1},
        {"nan_time", OP_GEMM, 1e12, 1e10, NAN, 1},  {"inf_flops", OP_GEMM, INFINITY, 1e10, 1e-3, 1},
        {"nan_bytes", OP_GEMM, 1e12, NAN, 1e-3, 1}, {"negative", OP_GEMM, -1e12, 1e10, 1e-3, 1},
        {"idle", OP_ATTENTION, 0, 0, 0, 1},         {"absent", OP_GEMM, 1e12, 1e10, 1e-3, 0},
    };
    static const char *const left_out[] = {"copy",      "no_bytes",  "allreduce", "nan_time",
                                           "inf_flops", "nan_bytes", "negative"};
    struct gathered g = gather_one(rows, rows, sizeof rows / sizeof *rows);
    cr_assert(g.ok);
    cr_assert(g.chart.point_count == 2);
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        cr_assert(omits(&g.chart, left_out[i]), "%s", left_out[i]);
    cr_assert(!omits(&g.chart, "idle") && !omits(&g.chart, "absent"));
    cr_assert(g.chart.omission_count == sizeof left_out / sizeof *left_out);
    arena_free(g.arena);
}

Test(plot_roofline, title_has_what_is_common_and_series_what_differs)
{
    struct gathered g = gather_one(llama_prefill, llama_decode, LLAMA_ROWS);
    cr_assert(!strcmp(g.chart.title, "Llama 3.1 8B · Testbed 1000 · vLLM 0.14 · chat"), "%s", g.chart.title);
    cr_assert(strstr(g.chart.subtitle, "batch 8, 1024 tokens in, 256 out") != NULL);
    cr_assert(strstr(g.chart.subtitle, "bf16 weights") != NULL);
    arena_free(g.arena);
    set_up(&two, llama_prefill, llama_decode, LLAMA_ROWS);
    two.device.name = "Otherbed";
    two.device.id = "otherbed";
    g = gather((const struct fixture *[]){&one, &two}, 2);
    cr_assert(!strcmp(g.chart.title, "Llama 3.1 8B · vLLM 0.14 · chat"), "%s", g.chart.title);
    cr_assert(!strcmp(g.chart.series[1].name, "Otherbed"));
    cr_assert(!g.chart.series[1].repeats_roofs);
    arena_free(g.arena);
}

Test(plot_roofline, one_devices_roofs_are_drawn_once)
{
    set_up(&one, llama_prefill, llama_decode, LLAMA_ROWS);
    set_up(&two, llama_prefill, llama_decode, LLAMA_ROWS);
    two.software.name = "ideal";
    two.software.version = NULL;
    struct gathered g = gather((const struct fixture *[]){&one, &two}, 2);
    cr_assert(!g.chart.series[0].repeats_roofs && g.chart.series[1].repeats_roofs);
    cr_assert(!strcmp(g.chart.series[1].name, "ideal"), "%s", g.chart.series[1].name);
    arena_free(g.arena);
}

Test(plot_roofline, memories_behind_a_link_are_bound_by_it)
{
    static struct memory_tier dram = {.name = "dram", .bandwidth = 3e11};
    static struct device cpu = {.name = "CPU", .tiers = &dram, .tier_count = 1};
    static struct link pcie = {.name = "PCIe 5", .kind = LINK_HOST, .bandwidth = 6.4e10};
    set_up(&one, llama_prefill, llama_decode, LLAMA_ROWS);
    one.device.links = &pcie;
    one.device.link_count = 1;
    struct system_member members[] = {one.member, {.role = "host", .count = 1, .device = &cpu}};
    one.system.members = members;
    one.system.member_count = 2;
    struct gathered g = gather(&(const struct fixture *){&one}, 1);
    const struct roofline_series *series = &g.chart.series[0];
    cr_assert(series->roof_count == 3);
    cr_assert(series->roofs[2].kind == ROOF_REMOTE && series->roofs[2].bandwidth == 6.4e10);
    cr_assert(strstr(series->roofs[2].label, "host DRAM over PCIe 5") != NULL, "%s", series->roofs[2].label);
    arena_free(g.arena);
}

Test(plot_roofline, refuses_what_has_no_roof)
{
    set_up(&one, llama_prefill, llama_decode, LLAMA_ROWS);
    one.device.tier_count = 2; /* caches only */
    struct gathered g = gather(&(const struct fixture *){&one}, 1);
    cr_assert(!g.ok && g.diag.errors == 1);
    arena_free(g.arena);
    one.resolved.deployment.pool_count = 0;
    g = gather(&(const struct fixture *){&one}, 1);
    cr_assert(!g.ok && g.diag.errors == 1);
    arena_free(g.arena);
    g = gather(NULL, 0);
    cr_assert(!g.ok && g.diag.errors == 1);
    arena_free(g.arena);
}

/* --- files --- */

struct drawing {
    struct arena *arena;
    struct diag diag;
    char path[128];
    char *bytes;
    size_t length;
    bool ok;
};

static struct drawing plot(const struct fixture *const *fixtures, size_t count, const char *name)
{
    struct drawing d = {.arena = arena_new(0)};
    const struct resolved *resolved[SERIES_MOST];
    const struct breakdown *breakdowns[SERIES_MOST];
    d.diag.arena = d.arena;
    snprintf(d.path, sizeof d.path, "%s/%s", folder, name);
    for (size_t i = 0; i < count; i++) {
        resolved[i] = &fixtures[i]->resolved;
        breakdowns[i] = &fixtures[i]->breakdown;
    }
    d.ok = plot_roofline(resolved, breakdowns, count, d.path, &d.diag);
    if (d.ok)
        d.bytes = file_read(d.arena, &d.diag, d.path, 1 << 26, &d.length);
    return d;
}

static struct drawing plot_one(const char *name)
{
    set_up(&one, llama_prefill, llama_decode, LLAMA_ROWS);
    return plot(&(const struct fixture *){&one}, 1, name);
}

Test(plot_roofline, writes_svg, .init = make_folder, .fini = remove_folder)
{
    struct drawing d = plot_one("a.svg");
    cr_assert(d.ok && d.bytes, "%s", diag_first_error(&d.diag));
    cr_assert(d.length > 20000 && strstr(d.bytes, "<svg") && strstr(d.bytes, "</svg>"));
    arena_free(d.arena);
}

Test(plot_roofline, writes_pdf, .init = make_folder, .fini = remove_folder)
{
    struct drawing d = plot_one("a.pdf");
    cr_assert(d.ok && d.bytes, "%s", diag_first_error(&d.diag));
    cr_assert(d.length > 5000 && !memcmp(d.bytes, "%PDF-", 5));
    cr_assert(memmem(d.bytes + d.length - 16, 16, "%%EOF", 5) != NULL);
    arena_free(d.arena);
}

Test(plot_roofline, writes_png_with_both_phases, .init = make_folder, .fini = remove_folder)
{
    struct drawing d = plot_one("b.PNG");
    cr_assert(d.ok && d.bytes, "%s", diag_first_error(&d.diag));
    cr_assert(d.length > 30000 && !memcmp(d.bytes, "\x89PNG\r\n\x1a\n", 8));
    cr_assert(pixels_of(d.path, colour_series[0], 4) > 500);
    cr_assert(pixels_of(d.path, colour_series[1], 4) > 500);
    cr_assert(pixels_of(d.path, colour_series[2], 4) == 0);
    arena_free(d.arena);
}

Test(plot_roofline, no_operators_leave_the_roofs, .init = make_folder, .fini = remove_folder)
{
    set_up(&one, llama_prefill, llama_decode, 0);
    struct drawing d = plot(&(const struct fixture *){&one}, 1, "a.png");
    cr_assert(d.ok, "%s", diag_first_error(&d.diag));
    cr_assert(pixels_of(d.path, colour_ink, 4) > 3000);
    arena_free(d.arena);
}

Test(plot_roofline, names_cannot_break_the_drawing, .init = make_folder, .fini = remove_folder)
{
    char name[2000];
    set_up(&one, llama_prefill, llama_decode, LLAMA_ROWS);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memcpy(name, "\xff\xc0\x80\n\t\xed\xa0\x80\xf4\x90\x80\x80", 12);
    one.model.name = name;
    one.ops[4].name = name;
    one.ops[5].name = "";
    one.device.name = NULL;
    struct drawing d = plot(&(const struct fixture *){&one}, 1, "a.svg");
    cr_assert(d.ok, "%s", diag_first_error(&d.diag));
    arena_free(d.arena);
}

Test(plot_roofline, extreme_figures_are_drawn_or_left_out, .init = make_folder, .fini = remove_folder)
{
    static const struct row rows[] = {{"tiny", OP_GEMM, 1e-300, 1e300, 1e300, 1},
                                      {"huge", OP_GEMM, 1e300, 1e-300, 1e-300, 1},
                                      {"usual", OP_GEMM, 1e12, 1e10, 2e-3, 1}};
    set_up(&one, rows, rows, 3);
    struct drawing d = plot(&(const struct fixture *){&one}, 1, "a.png");
    cr_assert(d.ok, "%s", diag_first_error(&d.diag));
    arena_free(d.arena);
}

Test(plot_roofline, draws_several_devices, .init = make_folder, .fini = remove_folder)
{
    set_up(&one, llama_prefill, llama_decode, LLAMA_ROWS);
    set_up(&two, llama_prefill, llama_decode, LLAMA_ROWS);
    two.device.id = two.device.name = "otherbed";
    two.device.matrix[FORMAT_BF16].flops = 300e12;
    const struct fixture *fixtures[SERIES_MOST];
    for (int i = 0; i < SERIES_MOST; i++)
        fixtures[i] = i % 2 ? &two : &one;
    struct drawing d = plot(fixtures, 2, "a.png");
    cr_assert(d.ok, "%s", diag_first_error(&d.diag));
    cr_assert(pixels_of(d.path, colour_series[0], 4) > 2000);
    cr_assert(pixels_of(d.path, colour_series[1], 4) > 2000);
    arena_free(d.arena);
    d = plot(fixtures, SERIES_MOST, "a.svg");
    cr_assert(d.ok, "%s", diag_first_error(&d.diag));
    arena_free(d.arena);
}

Test(plot_roofline, unknown_extension_is_refused_with_the_valid_ones, .init = make_folder,
     .fini = remove_folder)
{
    struct drawing d = plot_one("a.jpeg");
    cr_assert(!d.ok && d.diag.errors == 1);
    const char *message = diag_first_error(&d.diag);
    cr_assert(strstr(message, "a.jpeg") && strstr(message, ".svg") && strstr(message, ".png") &&
                  strstr(message, ".pdf"),
              "%s", message);
    cr_assert(access(d.path, F_OK) != 0);
    arena_free(d.arena);
}

Test(plot_roofline, unwritable_path_is_refused, .init = make_folder, .fini = remove_folder)
{
    struct drawing d = plot_one("missing/a.svg");
    cr_assert(!d.ok && d.diag.errors == 1);
    cr_assert(strstr(diag_first_error(&d.diag), "missing/a.svg") != NULL, "%s", diag_first_error(&d.diag));
    arena_free(d.arena);
}

Test(plot_roofline, a_refused_chart_leaves_the_old_file, .init = make_folder, .fini = remove_folder)
{
    struct drawing d = plot_one("a.svg");
    size_t before = d.length;
    arena_free(d.arena);
    one.device.tier_count = 0;
    d = plot(&(const struct fixture *){&one}, 1, "a.svg");
    cr_assert(!d.ok);
    struct stat status;
    cr_assert(stat(d.path, &status) == 0 && (size_t)status.st_size == before);
    arena_free(d.arena);
}
