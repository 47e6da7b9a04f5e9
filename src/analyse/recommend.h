/* Techniques for a question: each alone, and stacks of up to three, searched for the best. */
#ifndef RAFTER_ANALYSE_RECOMMEND_H
#define RAFTER_ANALYSE_RECOMMEND_H

#include "analyse/objective.h"
#include "analyse/evaluate.h"

/* Of a stack; of the question itself. */
enum { STACK_TECHNIQUES_MOST = 3, OPTIONS_TECHNIQUES_MOST = 64 };

/* Questions that one search puts at most: under a second at 60 us each. */
enum { RECOMMEND_BUDGET = 8000 };

/* A stack of techniques on top of the question's own, with its answer. */
struct technique_stack {
    const struct technique *members[STACK_TECHNIQUES_MOST];
    int count;
    struct answer answer;
    double score;  /* objective_score */
    double strain; /* limits_strain: up to 1, all limits are kept */
    enum limit tightest;
};

/* A technique that has no answer here, and why. */
struct unfit_technique {
    const struct technique *technique;
    const char *reason;
};

struct recommend_options {
    struct limits limits;
    enum objective objective;
    const char *family; /* only techniques of it; NULL: all */
    bool lossless;      /* only those that leave the model's outputs as they are */
    bool other_work;    /* also those that change what is asked; `family` lets in those of its name */
    int depth;          /* techniques of a stack at most, 1..STACK_TECHNIQUES_MOST */
};

struct recommendation {
    bool has_baseline; /* the question without more techniques has an answer */
    struct technique_stack baseline;
    struct technique_stack *stacks; /* those that keep the limits first, each part best first */
    size_t count;                   /* with an answer */
    size_t kept;                    /* of them, that keep the limits */
    struct unfit_technique *unfit;
    size_t unfit_count;
    size_t techniques; /* tried alone */
    size_t left_out;   /* not tried: they change what is asked */
    size_t helpful;    /* of them, that stacks were made of */
    size_t evaluated;  /* questions put */
    bool exhaustive;   /* no stack of the helpful ones was left out for the budget */
};

/* Whether the technique leaves outputs as they are: as its file says, else when all its mechanisms do. What
 * is scoped to a draft alone changes no output: the model verifies it. */
bool technique_is_lossless(const struct technique *technique);

/* Tries techniques alone (depth 1), then stacks of those that help: that improve the objective, or bring a
 * question that breaks a limit nearer to keeping it. Stacks that set a mechanism twice have no answer and are
 * not put; three techniques are tried where each two of them have an answer. Where that makes more than
 * RECOMMEND_BUDGET questions, those that grow from the best pairs are tried. Results live in the arena. false
 * with diag: memory, a catalogue that cannot be read. */
bool recommend(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
               const struct question *question, const struct recommend_options *options,
               struct recommendation *recommendation);

#endif
