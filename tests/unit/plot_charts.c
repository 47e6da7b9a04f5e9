/* Breakdown, memory and Pareto charts of estimates made by hand. */
#include "plot_fixture.h"

#include "base/file.h"
#include "plot/breakdown_chart.h"
#include "plot/memory_chart.h"
#include "plot/pareto_chart.h"

static const double GIB = 1024.0 * 1024 * 1024;

enum { FIXTURES = 8, POINTS = 40 };

static struct fixture fixtures[FIXTURES];
static struct memory_plan memories[FIXTURES];
static struct pareto_point points[FIXTURES][POINTS];
static struct pareto fronts[FIXTURES];

/* Fixture i: batch 8 on a device of its own name, i ms of gaps, 20 + 10 i GiB of 60; a front of 10 points. */
static void set_up_all(void)
{
    static const char *const names[FIXTURES] = {"Alpha",   "Beta", "Gamma", "Delta",
                                                "Epsilon", "Zeta", "Eta",   "Theta"};
    for (int i = 0; i < FIXTURES; i++) {
        struct fixture *f = &fixtures[i];
        set_up(f, llama_prefill, llama_decode, LLAMA_ROWS);
        f->device.name = names[i];
        f->breakdown.phases[1].step.host_gap = 1e-3 * i;
        double total = (20 + 10.0 * i) * GIB;
        memories[i] = (struct memory_plan){.weights = 10 * GIB,
                                           .kv = total - 14 * GIB,
                                           .activations = 2 * GIB,
                                           .reserved = 2 * GIB,
                                           .total = total,
                                           .capacity = 60 * GIB,
                                           .fits = total <= 60 * GIB};
        for (int j = 0; j < POINTS; j++) {
            double batch = 1 << (j % 10), behind = j < 10 ? 1 : 1 + 0.1 * j;
            points[i][j] = (struct pareto_point){
                .candidate = {.parallel = {.tp = 1 + j % 8, .pp = 1, .ep = 1, .dp = 1},
                              .replicas = 1 + j % 2},
                .batch = batch,
                .tokens_per_s_per_user = 200 / (1 + batch / 64) / behind * (1 + 0.2 * i),
                .tokens_per_s_per_device = 200 * batch / (1 + batch / 64) / behind};
        }
        fronts[i] = (struct pareto){
            .front = points[i], .count = 10, .all = points[i], .all_count = POINTS, .evaluated = 99};
    }
}

static void start(void)
{
    make_folder();
    set_up_all();
}

enum chart_kind { BREAKDOWN, MEMORY, PARETO, KINDS };

struct drawn {
    struct arena *arena;
    struct diag diag;
    char path[128];
    bool ok;
};

static struct drawn draw(enum chart_kind kind, size_t count, const char *name)
{
    struct drawn d = {.arena = arena_new(0)};
    const struct resolved *resolved[64];
    const struct breakdown *breakdowns[64];
    const struct memory_plan *plans[64];
    struct pareto_series series[64];
    d.diag.arena = d.arena;
    snprintf(d.path, sizeof d.path, "%s/%s", folder, name);
    for (size_t i = 0; i < count && i < 64; i++) {
        resolved[i] = &fixtures[i % FIXTURES].resolved;
        breakdowns[i] = &fixtures[i % FIXTURES].breakdown;
        plans[i] = &memories[i % FIXTURES];
        series[i] = (struct pareto_series){&fronts[i % FIXTURES], resolved[i], 8};
    }
    d.ok = kind == BREAKDOWN ? plot_breakdown(resolved, breakdowns, count, d.path, &d.diag)
           : kind == MEMORY  ? plot_memory(resolved, plans, count, d.path, &d.diag)
                             : plot_pareto(series, count, d.path, &d.diag);
    return d;
}

static bool starts_with(struct drawn *d, const char *head, const char *tail)
{
    size_t length = 0;
    const char *bytes = file_read(d->arena, &d->diag, d->path, 1 << 26, &length);
    size_t last = strlen(tail);
    return bytes && length > 4000 && !memcmp(bytes, head, strlen(head)) &&
           memmem(bytes + length - last - 16, last + 16, tail, last) != NULL;
}

Test(plot_charts, all_formats_are_valid, .init = start, .fini = remove_folder)
{
    static const struct {
        const char *name, *head, *tail;
    } formats[] = {
        {"a.svg", "<?xml", "</svg>"}, {"a.png", "\x89PNG\r\n\x1a\n", "IEND"}, {"a.pdf", "%PDF-", "%%EOF"}};
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < 3; i++) {
            struct drawn d = draw((enum chart_kind)kind, 2, formats[i].name);
            cr_assert(d.ok, "%d %s: %s", kind, formats[i].name, diag_first_error(&d.diag));
            cr_assert(starts_with(&d, formats[i].head, formats[i].tail), "%d %s", kind, formats[i].name);
            arena_free(d.arena);
        }
}

Test(plot_charts, nothing_is_drawn_at_the_edges, .init = start, .fini = remove_folder)
{
    static const size_t counts[] = {1, 2, 6};
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < 3; i++) {
            struct drawn d = draw((enum chart_kind)kind, counts[i], "a.png");
            cr_assert(d.ok, "%s", diag_first_error(&d.diag));
            cr_assert(pixels_at_edges(d.path, 10) == 0, "kind %d, %zu", kind, counts[i]);
            arena_free(d.arena);
        }
}

Test(plot_charts, long_and_broken_names_stay_inside, .init = start, .fini = remove_folder)
{
    char name[2000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memcpy(name, "\xff\xc0\x80\n\t\xed\xa0\x80\xf4\x90\x80\x80", 12);
    fixtures[0].model.name = fixtures[1].device.name = fixtures[0].ops[2].name = name;
    fixtures[1].ops[3].name = NULL;
    fixtures[1].breakdown.phases[1].name = "";
    fixtures[2].resolved.workload.name = name;
    for (int kind = 0; kind < KINDS; kind++) {
        struct drawn d = draw((enum chart_kind)kind, 6, "a.png");
        cr_assert(d.ok, "%s", diag_first_error(&d.diag));
        cr_assert(pixels_at_edges(d.path, 10) == 0, "%d", kind);
        arena_free(d.arena);
    }
}

Test(plot_charts, counts_are_checked, .init = start, .fini = remove_folder)
{
    static const size_t most[KINDS] = {BREAKDOWNS_MOST, MEMORIES_MOST, FRONTS_MOST};
    for (int kind = 0; kind < KINDS; kind++) {
        struct drawn d = draw((enum chart_kind)kind, most[kind], "a.svg");
        cr_assert(d.ok, "%d: %s", kind, diag_first_error(&d.diag));
        arena_free(d.arena);
        const size_t bad[] = {0, most[kind] + 1};
        for (int i = 0; i < 2; i++) {
            d = draw((enum chart_kind)kind, bad[i], "b.PNG");
            cr_assert(!d.ok && d.diag.errors == 1 && access(d.path, F_OK) != 0, "%d", kind);
            arena_free(d.arena);
        }
    }
}

Test(plot_charts, unknown_extensions_are_refused, .init = start, .fini = remove_folder)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct drawn d = draw((enum chart_kind)kind, 1, "a.jpeg");
        cr_assert(!d.ok && d.diag.errors == 1);
        cr_assert(strstr(diag_first_error(&d.diag), ".svg, .png or .pdf") != NULL);
        cr_assert(access(d.path, F_OK) != 0);
        arena_free(d.arena);
    }
}

Test(plot_charts, an_estimate_without_a_plan_is_refused, .init = start, .fini = remove_folder)
{
    fixtures[0].resolved.deployment.pool_count = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        struct drawn d = draw((enum chart_kind)kind, 1, "a.svg");
        cr_assert(!d.ok && d.diag.errors == 1 && access(d.path, F_OK) != 0);
        arena_free(d.arena);
    }
}

/* --- breakdown --- */

Test(plot_charts, breakdown_skips_what_is_no_time, .init = start, .fini = remove_folder)
{
    static const double bad[] = {NAN, INFINITY, -1, 0};
    for (size_t i = 0; i < 4; i++) {
        fixtures[0].prefill[i].exposed = fixtures[0].decode[i + 4].exposed = bad[i];
        fixtures[0].breakdown.phases[0].step.host_gap = bad[i];
        fixtures[0].resolved.request.output = bad[i];
        struct drawn d = draw(BREAKDOWN, 2, "a.png");
        cr_assert(d.ok, "%s", diag_first_error(&d.diag));
        cr_assert(pixels_at_edges(d.path, 10) == 0);
        arena_free(d.arena);
    }
}

Test(plot_charts, breakdown_of_nothing_is_refused, .init = start, .fini = remove_folder)
{
    for (int i = 0; i < ROWS_MOST; i++)
        fixtures[0].prefill[i].exposed = fixtures[0].decode[i].exposed = NAN;
    struct drawn d = draw(BREAKDOWN, 1, "a.svg");
    cr_assert(!d.ok && strstr(diag_first_error(&d.diag), "no operator") != NULL);
    arena_free(d.arena);
    fixtures[0].breakdown.count = 0;
    d = draw(BREAKDOWN, 1, "a.svg");
    cr_assert(!d.ok);
    arena_free(d.arena);
}

/* One operator takes all of prefill: its colour fills the bar; the share of an operator is its share of the
 * bar. */
Test(plot_charts, breakdown_areas_follow_times, .init = start, .fini = remove_folder)
{
    static const struct row rows[] = {{"large", OP_GEMM, 1e12, 1e9, 3, 1},
                                      {"small", OP_GEMM, 1e12, 1e9, 1, 1}};
    set_up(&fixtures[0], rows, rows, 2);
    struct drawn d = draw(BREAKDOWN, 1, "a.png");
    cr_assert(d.ok, "%s", diag_first_error(&d.diag));
    double large = (double)pixels_of(d.path, colour_series[0], 2);
    double small = (double)pixels_of(d.path, colour_series[1], 2);
    cr_assert(large > 100000 && fabs(large / small - 3) < 0.1, "%g %g", large, small);
    arena_free(d.arena);
}

/* --- memory --- */

Test(plot_charts, memory_says_whether_it_fits, .init = start, .fini = remove_folder)
{
    static const struct colour yes = {0.000, 0.420, 0.300}, no = {0.720, 0.250, 0.000};
    for (int i = 0; i < FIXTURES; i++) {
        memories[0] = memories[i];
        struct drawn d = draw(MEMORY, 1, "a.png");
        cr_assert(d.ok);
        cr_assert((pixels_of(d.path, yes, 3) > 100) == memories[0].fits, "%d", i);
        cr_assert((pixels_of(d.path, no, 3) > 100) == !memories[0].fits, "%d", i);
        arena_free(d.arena);
    }
}

Test(plot_charts, memory_survives_any_figure, .init = start, .fini = remove_folder)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY, -1, 0, 1e300};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memories[0] = (struct memory_plan){.weights = bad[i],
                                           .kv = bad[i],
                                           .activations = bad[i],
                                           .reserved = bad[i],
                                           .total = bad[i],
                                           .capacity = bad[i]};
        memories[1].capacity = bad[i];
        fixtures[1].resolved.request.batch = bad[i];
        struct drawn d = draw(MEMORY, 3, "a.png");
        cr_assert(d.ok, "%s", diag_first_error(&d.diag));
        cr_assert(pixels_at_edges(d.path, 10) == 0, "%g", bad[i]);
        arena_free(d.arena);
    }
}

/* --- Pareto --- */

Test(plot_charts, pareto_leaves_out_what_is_no_figure, .init = start, .fini = remove_folder)
{
    static const double bad[] = {NAN, INFINITY, 0, -1, 1e300, 1e-300};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        points[0][3].tokens_per_s_per_user = bad[i];
        points[0][7].tokens_per_s_per_device = bad[i];
        points[1][20].tokens_per_s_per_device = bad[i];
        struct drawn d = draw(PARETO, 2, "a.png");
        cr_assert(d.ok, "%s", diag_first_error(&d.diag));
        cr_assert(pixels_at_edges(d.path, 10) == 0, "%g", bad[i]);
        arena_free(d.arena);
    }
}

Test(plot_charts, pareto_without_points_is_refused, .init = start, .fini = remove_folder)
{
    fronts[0].count = fronts[0].all_count = 0;
    struct drawn d = draw(PARETO, 1, "a.svg");
    cr_assert(!d.ok && strstr(diag_first_error(&d.diag), "no Pareto front") != NULL);
    arena_free(d.arena);
}

Test(plot_charts, pareto_of_one_point_is_a_chart, .init = start, .fini = remove_folder)
{
    fronts[0].count = fronts[0].all_count = 1;
    struct drawn d = draw(PARETO, 1, "a.png");
    cr_assert(d.ok, "%s", diag_first_error(&d.diag));
    cr_assert(pixels_of(d.path, colour_series[0], 4) > 20);
    arena_free(d.arena);
}
