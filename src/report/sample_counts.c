#include "report/sample_counts.h"

#include "report/human.h"

void samples_heading(const char *heading, bool colour, bool markdown, struct text *out)
{
    text_add(out, "\n");
    tone_printf(out, colour, TONE_STRONG, "%s%s\n", markdown ? "### " : "", heading);
    text_add(out, markdown ? "\n" : "");
}

void sample_counts_text(const struct sample_set *set, bool colour, bool markdown, struct arena *arena,
                        struct text *out)
{
    const struct device *device = set->device;
    tone_printf(out, colour, TONE_STRONG, "%s%s", markdown ? "## " : "",
                device->name ? device->name : device->id);
    text_printf(out, "  %s\n%s", device->id, markdown ? "\n" : "");
    text_printf(out, "%s samples", human(arena, HUMAN_NUMBER, (double)set->count));
    if (set->skipped_count > 0)
        text_printf(out, ", %s skipped", human(arena, HUMAN_NUMBER, (double)set->skipped_count));
    if (set->other_devices > 0)
        text_printf(out, ", %s of other devices", human(arena, HUMAN_NUMBER, (double)set->other_devices));
    text_add(out, "\n\n");
}

static const char *family_text(int family)
{
    return family == FAMILY_UNKNOWN ? "" : families[family].name;
}

void skipped_text(const struct sample_set *set, bool colour, bool markdown, struct arena *arena,
                  struct text *out)
{
    if (set->skipped_kinds == 0)
        return;
    samples_heading("Skipped rows", colour, markdown, out);
    for (size_t i = 0; i < set->skipped_kinds; i++) {
        const struct skipped_rows *skip = &set->skipped[i];
        text_printf(out, "%s%s of %s %s%s%s: %s (%s:%d%s)\n", markdown ? "- " : "  ",
                    human(arena, HUMAN_NUMBER, (double)skip->count), skip->source, family_text(skip->family),
                    skip->dtype[0] != '\0' ? " " : "", skip->dtype, skip->reason, skip->first.file,
                    skip->first.line, skip->count > 1 ? " ..." : "");
    }
}

void sample_counts_json(const struct sample_set *set, json_t *object)
{
    json_t *others = json_array(), *skipped = json_array();
    for (size_t i = 0; i < set->other_count; i++) {
        json_t *entry = json_object();
        json_object_set_new(entry, "device", json_text(set->others[i].name));
        json_object_set_new(entry, "n", json_count((double)set->others[i].count));
        json_array_append_new(others, entry);
    }
    for (size_t i = 0; i < set->skipped_kinds; i++) {
        const struct skipped_rows *skip = &set->skipped[i];
        json_t *entry = json_object();
        json_object_set_new(entry, "reason", json_text(skip->reason));
        json_object_set_new(entry, "family",
                            json_text(skip->family == FAMILY_UNKNOWN ? NULL : families[skip->family].name));
        json_object_set_new(entry, "dtype", json_text(skip->dtype));
        json_object_set_new(entry, "source", json_text(skip->source));
        json_object_set_new(entry, "n", json_count((double)skip->count));
        json_object_set_new(entry, "file", json_text(skip->first.file));
        json_object_set_new(entry, "line", json_count(skip->first.line));
        json_array_append_new(skipped, entry);
    }
    json_object_set_new(object, "device", json_text(set->device->id));
    json_object_set_new(object, "samples", json_count((double)set->count));
    json_object_set_new(object, "other_devices", json_count((double)set->other_devices));
    json_object_set_new(object, "others", others);
    json_object_set_new(object, "skipped", json_count((double)set->skipped_count));
    json_object_set_new(object, "skipped_rows", skipped);
}
