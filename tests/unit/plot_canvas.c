/* Canvas: formats by extension, text that fits and cannot break a drawing. */
#include "plot/canvas.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct diag messages(struct arena *arena)
{
    return (struct diag){.arena = arena};
}

Test(plot_canvas, formats_by_extension)
{
    cr_assert(canvas_format_of("a.svg") == CANVAS_SVG);
    cr_assert(canvas_format_of("x/y/roof.PNG") == CANVAS_PNG);
    cr_assert(canvas_format_of("a.b.pdf") == CANVAS_PDF);
    static const char *const others[] = {"", "svg", ".svg", "x/.png", "a.svgz", "a.jpg", "a.svg/", "a.svg "};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_assert(canvas_format_of(others[i]) == CANVAS_FORMAT_COUNT, "%s", others[i]);
}

Test(plot_canvas, sizes_are_checked)
{
    struct arena *arena = arena_new(0);
    static const double bad[] = {0, -1, NAN, INFINITY, 1e9};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct diag diag = messages(arena);
        struct canvas canvas;
        cr_assert(!canvas_open(&canvas, &diag, "a.png", bad[i], 100));
        cr_assert(diag.errors == 1);
        canvas_close(&canvas);
    }
    arena_free(arena);
}

Test(plot_canvas, text_is_cut_to_fit)
{
    struct arena *arena = arena_new(0);
    struct diag diag = messages(arena);
    struct canvas canvas;
    struct text_style style = {.size = 14};
    char out[256];
    cr_assert(canvas_open(&canvas, &diag, "a.svg", 200, 100));
    canvas_text_fit(&canvas, "short", &style, 100, out, sizeof out);
    cr_assert(!strcmp(out, "short"));
    canvas_text_fit(&canvas, "Überlänge und noch viel, viel mehr davon", &style, 100, out, sizeof out);
    cr_assert(canvas_text_width(&canvas, out, &style) <= 100);
    cr_assert(!strcmp(out + strlen(out) - 3, "…"), "%s", out);
    canvas_text_fit(&canvas, "text", &style, 0, out, sizeof out);
    cr_assert(strlen(out) <= 3);
    canvas_close(&canvas);
    arena_free(arena);
}

Test(plot_canvas, invalid_text_does_not_stop_the_drawing)
{
    struct arena *arena = arena_new(0);
    struct diag diag = messages(arena);
    struct canvas canvas;
    struct text_style style = {.size = 14, .halo = true};
    static const char *const bad[] = {
        "\xff",     "a\xc3",          "\xe2\x82", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80",
        "\xc0\xaf", "tab\tnewline\n", ""};
    cr_assert(canvas_open(&canvas, &diag, "a.svg", 200, 100));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        canvas_text(&canvas, 10, 10, bad[i], &style);
        cr_assert(cairo_status(canvas.cairo) == CAIRO_STATUS_SUCCESS, "%zu", i);
    }
    cr_assert(canvas_text_width(&canvas, "\xff", &style) == canvas_text_width(&canvas, "?", &style));
    canvas_close(&canvas);
    arena_free(arena);
}

Test(plot_canvas, series_colours_differ)
{
    for (int i = 0; i < SERIES_COLOURS; i++)
        for (int j = 0; j < i; j++) {
            const struct colour *a = &colour_series[i], *b = &colour_series[j];
            cr_assert(fabs(a->red - b->red) + fabs(a->green - b->green) + fabs(a->blue - b->blue) > 0.2);
        }
}
