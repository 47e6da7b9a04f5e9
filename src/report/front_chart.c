/* The front as a chart of characters. */
#include "report/front.h"
#include "report/human.h"

#include <math.h>

enum { COLUMNS = 60, ROWS = 14, LABEL = 9 };

struct range {
    double low, high;
};

static void widen(struct range *range, double value)
{
    range->low = fmin(range->low, value);
    range->high = fmax(range->high, value);
}

/* 0 .. cells - 1 along a logarithmic axis. */
static int cell_of(const struct range *range, double value, int cells)
{
    double span = log(range->high / range->low);
    double share = span > 0.0 ? log(value / range->low) / span : 0.5;
    int cell = (int)lround(share * (cells - 1));
    return cell < 0 ? 0 : cell >= cells ? cells - 1 : cell;
}

struct chart {
    char marks[ROWS][COLUMNS]; /* ' ', '.', 'o' */
    struct range x, y;
};

static void mark(struct chart *chart, const struct pareto_point *points, size_t count, char with)
{
    for (size_t i = 0; i < count; i++) {
        int column = cell_of(&chart->x, points[i].tokens_per_s_per_user, COLUMNS);
        int row = cell_of(&chart->y, points[i].tokens_per_s_per_device, ROWS);
        chart->marks[ROWS - 1 - row][column] = with;
    }
}

static void write_row(const struct chart *chart, int row, const char *label, struct text *out)
{
    int last = COLUMNS;
    while (last > 0 && chart->marks[row][last - 1] == ' ')
        last--;
    text_printf(out, "  %*s %s", LABEL, label, label[0] != '\0' ? "┤" : "│");
    for (int c = 0; c < last; c++) {
        char with = chart->marks[row][c];
        text_add(out, with == 'o' ? "●" : with == '.' ? "·" : " ");
    }
    text_add(out, "\n");
}

void front_chart(const struct pareto *pareto, struct arena *arena, struct text *out)
{
    struct chart chart = {.x = {INFINITY, 0.0}, .y = {INFINITY, 0.0}};
    for (size_t i = 0; i < pareto->all_count; i++) {
        widen(&chart.x, pareto->all[i].tokens_per_s_per_user);
        widen(&chart.y, pareto->all[i].tokens_per_s_per_device);
    }
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++)
            chart.marks[r][c] = ' ';
    mark(&chart, pareto->all, pareto->all_count, '.');
    mark(&chart, pareto->front, pareto->count, 'o');
    text_printf(out, "  %*s  tokens/s/device\n", LABEL, "");
    for (int r = 0; r < ROWS; r++)
        write_row(&chart, r,
                  r == 0          ? human(arena, HUMAN_NUMBER, chart.y.high)
                  : r == ROWS - 1 ? human(arena, HUMAN_NUMBER, chart.y.low)
                                  : "",
                  out);
    text_printf(out, "  %*s └", LABEL, "");
    for (int c = 0; c < COLUMNS; c++)
        text_add(out, "─");
    const char *low = human(arena, HUMAN_NUMBER, chart.x.low),
               *high = human(arena, HUMAN_NUMBER, chart.x.high);
    int gap = COLUMNS - (int)text_columns(low) - (int)text_columns(high) - 15;
    text_printf(out, "\n  %*s  %s%*s%s%*s%s\n", LABEL, "", low, gap / 2 > 0 ? gap / 2 : 1, "",
                "tokens/s/user  ", gap - gap / 2 > 0 ? gap - gap / 2 : 1, "", high);
    text_printf(out, "  %*s  ● on the front · others, both axes logarithmic\n", LABEL, "");
}
