#include "cli/page.h"

#include "report/description.h"

enum exit_status show_mechanism(struct session *session, const char *name)
{
    const struct mechanism *mechanism = mechanism_find(name);
    if (mechanism == NULL)
        return session_refuse(session, "there is no mechanism \"%.80s\"; `rafter list mechanisms` tells them",
                              name);
    if (session->format == OUTPUT_JSON)
        return json_add(&session->out, mechanism_json(mechanism)) ? STATUS_YES
                                                                  : session_refuse(session, "out of memory");
    if (session->format != OUTPUT_CSV) {
        const char *mark = session->format == OUTPUT_MARKDOWN ? "## " : "";
        tone_printf(&session->out, session->colour, TONE_STRONG, "%s%s", mark, mechanism->name);
        text_printf(&session->out, "  mechanism\n%s%s\n\n", mark[0] != '\0' ? "\n" : "", mechanism->summary);
    }
    return session_put(session, parameter_table(mechanism, session->arena));
}
