/* For tests: a question asked of the shipped catalogue, with everything it resolved to. */
#ifndef RAFTER_TESTS_ASK_H
#define RAFTER_TESTS_ASK_H

#include "estimate/estimate.h"

struct asked {
    struct arena *arena;
    struct diag diag;
    struct catalogue catalogue;
    struct resolved resolved;
    struct estimate_scratch *scratch;
    struct answer answer;
    struct breakdown breakdown;
    bool ok;
};

/* Resolves and estimates; ok says whether it worked, diag why not. Free with asked_free. */
struct asked ask(const struct question *question);
void asked_free(struct asked *asked);

/* The answer to a question that has one. */
struct answer answer_to(const struct question *question);
/* That a question is refused, with `reason` in what is said. */
void expect_refusal(struct question question, const char *reason);
void expect_same_answer(const struct answer *a, const struct answer *b);

/* The same question with techniques and settings: LIST("a", "b") or NO_LIST for each. */
struct question question_with(struct question question, const char *const *techniques, size_t technique_count,
                              const char *const *settings, size_t setting_count);
#define LIST(...)                                                                                            \
    (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)
#define NO_LIST NULL, 0

/* The operator of a phase by name, NULL when it is not there; its op in *op (may be NULL). */
const struct step_op *phase_op(const struct asked *asked, const char *phase, const char *name,
                               const struct op **op);
const struct phase_cost *phase_of(const struct asked *asked, const char *phase);

/* Operand bytes of one execution, all classes but the wire. */
double op_bytes(const struct step_op *op);

/* |a - b| <= tolerance * max(|a|, |b|) */
bool close_to(double a, double b, double tolerance);

/* A small seeded generator (xorshift64*): the same numbers on every machine. */
struct dice {
    unsigned long long state;
};
double dice_real(struct dice *dice, double low, double high);
int dice_int(struct dice *dice, int low, int high); /* inclusive */

#endif
