#include "plot/canvas.h"

#include "base/file.h"
#include "plot/svg.h"

#include <cairo-pdf.h>
#include <cairo-svg.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const extensions[CANVAS_FORMAT_COUNT] = {".svg", ".png", ".pdf"};

/* Blue, vermillion, bluish green, reddish purple, orange, sky blue, black; yellow is left out, being too pale
 * on paper. */
const struct colour colour_series[SERIES_COLOURS] = {
    {0.000, 0.447, 0.698}, {0.835, 0.369, 0.000}, {0.000, 0.620, 0.451}, {0.800, 0.475, 0.655},
    {0.902, 0.624, 0.000}, {0.337, 0.706, 0.914}, {0.150, 0.150, 0.150},
};
const struct colour colour_ink = {0.13, 0.15, 0.18};
const struct colour colour_muted = {0.40, 0.43, 0.47};
const struct colour colour_grid = {0.84, 0.86, 0.88};
const struct colour colour_faint = {0.93, 0.94, 0.95};
const struct colour colour_paper = {1, 1, 1};

static const double PIXELS_PER_POINT = 2; /* PNG: sharp on a projector */
static const double SIZE_MOST = 8192;     /* points; cairo's own limit is 32767 pixels a side */
static const char FONT[] = "DejaVu Sans"; /* fontconfig falls back to any sans where it is missing */

enum { TEXT_MOST = 512 };

enum canvas_format canvas_format_of(const char *path)
{
    size_t length = strlen(path);
    for (int i = 0; i < CANVAS_FORMAT_COUNT; i++) {
        size_t tail = strlen(extensions[i]);
        if (length > tail && path[length - tail - 1] != '/' &&
            !strcasecmp(path + length - tail, extensions[i]))
            return (enum canvas_format)i;
    }
    return CANVAS_FORMAT_COUNT;
}

static cairo_status_t collect(void *closure, const unsigned char *bytes, unsigned int length)
{
    struct text *output = closure;
    text_addn(output, (const char *)bytes, length);
    return output->failed ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

static cairo_surface_t *surface_new(struct canvas *canvas)
{
    switch (canvas->format) {
    case CANVAS_SVG:
        return cairo_svg_surface_create_for_stream(collect, &canvas->output, canvas->width, canvas->height);
    case CANVAS_PDF:
        return cairo_pdf_surface_create_for_stream(collect, &canvas->output, canvas->width, canvas->height);
    default:
        return cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(canvas->width * PIXELS_PER_POINT),
                                          (int)ceil(canvas->height * PIXELS_PER_POINT));
    }
}

/* Metrics without hinting are the same on every surface, so that one layout fits all formats. */
static void use_plain_metrics(cairo_t *cairo)
{
    cairo_font_options_t *options = cairo_font_options_create();
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
    cairo_set_font_options(cairo, options);
    cairo_font_options_destroy(options);
}

bool canvas_open(struct canvas *canvas, struct diag *diag, const char *path, double width, double height)
{
    memset(canvas, 0, sizeof *canvas);
    canvas->path = path;
    canvas->format = canvas_format_of(path);
    if (canvas->format == CANVAS_FORMAT_COUNT)
        return diag_error(diag, NOWHERE,
                          "cannot tell a chart's format from '%.200s': expected a name ending in "
                          ".svg, .png or .pdf",
                          path);
    if (!(width >= 1 && width <= SIZE_MOST && height >= 1 && height <= SIZE_MOST))
        return diag_error(diag, NOWHERE, "a chart of %g x %g points: expected 1 to %g a side", width, height,
                          SIZE_MOST);
    canvas->width = width;
    canvas->height = height;
    canvas->surface = surface_new(canvas);
    canvas->cairo = cairo_create(canvas->surface);
    if (cairo_status(canvas->cairo) != CAIRO_STATUS_SUCCESS)
        return diag_error(diag, NOWHERE, "cannot draw: %s",
                          cairo_status_to_string(cairo_status(canvas->cairo)));
    if (canvas->format == CANVAS_PNG)
        cairo_scale(canvas->cairo, PIXELS_PER_POINT, PIXELS_PER_POINT);
    use_plain_metrics(canvas->cairo);
    canvas_box(canvas, 0, 0, width, height, colour_paper, 1);
    return true;
}

bool canvas_save(struct canvas *canvas, struct diag *diag)
{
    cairo_status_t status = cairo_status(canvas->cairo);
    if (status == CAIRO_STATUS_SUCCESS && canvas->format == CANVAS_PNG) {
        status = cairo_surface_write_to_png_stream(canvas->surface, collect, &canvas->output);
    } else if (status == CAIRO_STATUS_SUCCESS) {
        cairo_surface_finish(canvas->surface);
        status = cairo_surface_status(canvas->surface);
    }
    bool whole = status == CAIRO_STATUS_SUCCESS && !canvas->output.failed;
    if (!whole || (canvas->format == CANVAS_SVG && !svg_compact(&canvas->output)))
        return diag_error(diag, NOWHERE, "cannot draw '%.200s': %s", canvas->path,
                          canvas->output.failed ? "out of memory" : cairo_status_to_string(status));
    return file_write(diag, canvas->path, canvas->output.data, canvas->output.length);
}

void canvas_close(struct canvas *canvas)
{
    if (canvas->cairo)
        cairo_destroy(canvas->cairo);
    if (canvas->surface)
        cairo_surface_destroy(canvas->surface);
    /* destroying an unfinished surface still writes to the stream, so the output goes last */
    text_free(&canvas->output);
    memset(canvas, 0, sizeof *canvas);
}

static void ink(struct canvas *canvas, struct colour colour, double opacity)
{
    cairo_set_source_rgba(canvas->cairo, colour.red, colour.green, colour.blue, opacity);
}

void canvas_line(struct canvas *canvas, double x0, double y0, double x1, double y1, double width, double dash,
                 struct colour colour)
{
    cairo_t *cairo = canvas->cairo;
    ink(canvas, colour, 1);
    cairo_set_line_width(cairo, width);
    cairo_set_line_cap(cairo, CAIRO_LINE_CAP_BUTT);
    cairo_set_dash(cairo, &dash, dash > 0 ? 1 : 0, 0);
    cairo_move_to(cairo, x0, y0);
    cairo_line_to(cairo, x1, y1);
    cairo_stroke(cairo);
    cairo_set_dash(cairo, NULL, 0, 0);
}

void canvas_box(struct canvas *canvas, double x, double y, double width, double height, struct colour fill,
                double opacity)
{
    ink(canvas, fill, opacity);
    cairo_rectangle(canvas->cairo, x, y, width, height);
    cairo_fill(canvas->cairo);
}

static const double RIM = 1.8; /* points */

/* Radius of a circle, or half diagonal of a diamond, of the given area. */
static double marker_radius(enum marker marker, double area)
{
    return marker == MARKER_CIRCLE ? sqrt(area / M_PI) : sqrt(area / 2);
}

double canvas_marker_reach(enum marker marker, double area)
{
    return marker_radius(marker, area) + RIM / 2;
}

static void marker_path(cairo_t *cairo, enum marker marker, double x, double y, double radius)
{
    cairo_new_path(cairo);
    if (marker == MARKER_CIRCLE) {
        cairo_arc(cairo, x, y, radius, 0, 2 * M_PI);
    } else {
        cairo_move_to(cairo, x - radius, y);
        cairo_line_to(cairo, x, y - radius);
        cairo_line_to(cairo, x + radius, y);
        cairo_line_to(cairo, x, y + radius);
    }
    cairo_close_path(cairo);
}

void canvas_dot(struct canvas *canvas, double x, double y, double area, struct colour colour)
{
    marker_path(canvas->cairo, MARKER_CIRCLE, x, y, marker_radius(MARKER_CIRCLE, area));
    ink(canvas, colour, 1);
    cairo_fill(canvas->cairo);
}

void canvas_marker(struct canvas *canvas, enum marker marker, bool hollow, double x, double y, double area,
                   struct colour colour)
{
    marker_path(canvas->cairo, marker, x, y, marker_radius(marker, area));
    ink(canvas, hollow ? colour_paper : colour, hollow ? 0.75 : 0.55);
    cairo_fill_preserve(canvas->cairo);
    ink(canvas, colour, 1);
    cairo_set_line_width(canvas->cairo, RIM);
    cairo_stroke(canvas->cairo);
}

/* Length of the UTF-8 sequence at bytes, 0 when it is none: cairo stops drawing for good at an invalid one.
 */
static size_t utf8_length(const unsigned char *bytes)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char head = bytes[0];
    size_t length = head < 0x80 ? 1 : head >> 5 == 6 ? 2 : head >> 4 == 14 ? 3 : head >> 3 == 30 ? 4 : 0;
    if (length <= 1)
        return length;
    unsigned point = head & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if (bytes[i] >> 6 != 2)
            return 0;
        point = point << 6 | (bytes[i] & 0x3fu);
    }
    bool surrogate = point >= 0xd800 && point < 0xe000;
    return point < least[length] || point > 0x10ffff || surrogate ? 0 : length;
}

static void clean(const char *text, char out[TEXT_MOST])
{
    size_t used = 0;
    while (*text && used + 4 < TEXT_MOST) {
        size_t length = utf8_length((const unsigned char *)text);
        bool shown = length > 1 || (length == 1 && (unsigned char)*text >= 0x20 && *text != 0x7f);
        if (shown)
            memcpy(out + used, text, length);
        else
            out[used] = '?';
        used += shown ? length : 1;
        text += length ? length : 1;
    }
    out[used] = '\0';
}

static void use_font(struct canvas *canvas, const struct text_style *style)
{
    cairo_select_font_face(canvas->cairo, FONT, CAIRO_FONT_SLANT_NORMAL,
                           style->bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(canvas->cairo, style->size);
}

double canvas_text_width(struct canvas *canvas, const char *text, const struct text_style *style)
{
    char shown[TEXT_MOST];
    cairo_text_extents_t extents;
    clean(text, shown);
    use_font(canvas, style);
    cairo_text_extents(canvas->cairo, shown, &extents);
    return extents.x_advance;
}

void canvas_text(struct canvas *canvas, double x, double y, const char *text, const struct text_style *style)
{
    char shown[TEXT_MOST];
    cairo_t *cairo = canvas->cairo;
    double width = canvas_text_width(canvas, text, style);
    double shift = style->align == ALIGN_CENTRE ? -width / 2 : style->align == ALIGN_RIGHT ? -width : 0;
    clean(text, shown);
    cairo_save(cairo);
    cairo_translate(cairo, x, y);
    cairo_rotate(cairo, style->angle);
    cairo_move_to(cairo, shift, 0);
    if (style->halo) { /* outlines of the letters would look better, and make files twice as large */
        canvas_box(canvas, shift - 1, -0.8 * style->size, width + 2, 1.02 * style->size, colour_paper, 0.78);
        cairo_move_to(cairo, shift, 0);
    }
    ink(canvas, style->colour, 1);
    cairo_show_text(cairo, shown);
    cairo_restore(cairo);
}

void canvas_text_fit(struct canvas *canvas, const char *text, const struct text_style *style, double most,
                     char *out, size_t size)
{
    char shown[TEXT_MOST];
    clean(text, shown);
    snprintf(out, size, "%s", shown);
    size_t length = strlen(shown);
    while (length > 0 && canvas_text_width(canvas, out, style) > most) {
        length--;
        while (length > 0 && ((unsigned char)shown[length] & 0xc0) == 0x80)
            length--;
        snprintf(out, size, "%.*s…", (int)length, shown);
    }
}

void canvas_clip(struct canvas *canvas, double x, double y, double width, double height)
{
    cairo_save(canvas->cairo);
    cairo_rectangle(canvas->cairo, x, y, width, height);
    cairo_clip(canvas->cairo);
}

void canvas_unclip(struct canvas *canvas)
{
    cairo_restore(canvas->cairo);
}
