/* Compacted SVG: the same drawing in fewer bytes. */
#include "plot/svg.h"

#include <criterion/criterion.h>
#include <string.h>

static void compacts(const char *from, const char *to)
{
    struct text svg = {0};
    text_add(&svg, from);
    cr_assert(svg_compact(&svg));
    cr_assert(!strcmp(svg.data ? svg.data : "", to), "%s", svg.data);
    text_free(&svg);
}

Test(plot_svg, coordinates_are_rounded_to_hundredths)
{
    compacts("<path d=\"M 1.234567 -0.004999 L 12 3.5 C 0.999999 7.10 100.000000 2.000001 Z \"/>",
             "<path d=\"M 1.23 -0 L 12 3.5 C 1 7.10 100 2 Z \"/>");
    compacts("<use x=\"10.126000\" y=\"-3.000000\"/>", "<use x=\"10.13\" y=\"-3\"/>");
}

Test(plot_svg, initial_values_are_dropped)
{
    compacts("<path style=\"fill:none;stroke-width:0.8;stroke-linecap:butt;stroke-linejoin:miter;"
             "stroke:rgb(84%,86%,88%);stroke-opacity:1;stroke-miterlimit:10;\" d=\"M 0 0 \"/>",
             "<path style=\"fill:none;stroke-width:0.8;stroke:rgb(84%,86%,88%);\" d=\"M 0 0 \"/>");
    compacts("<g style=\"fill-rule:nonzero;fill:rgb(0%,0%,0%);fill-opacity:1;stroke:none;\">",
             "<g style=\"fill:rgb(0%,0%,0%);stroke:none;\">");
}

Test(plot_svg, the_rest_stays)
{
    static const char *const same[] = {
        "",
        "fill-opacity:0.55;",
        "<path transform=\"matrix(0.707107,-0.707107,0.707107,0.707107,1.123456,2)\"/>",
        "<use xlink:href=\"#glyph0-1\"/><svg width=\"1280pt\" viewBox=\"0 0 1280 720\" version=\"1.1\">",
        " d=\"M 1.5 2",
        " x=\"",
        "s",
        "stroke-linecap:but",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        compacts(same[i], same[i]);
}
