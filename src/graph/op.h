/* Operators and buffers: what work is done and what memory it needs; never how long it takes. All dimensions
 * are of one rank (tensor, expert and pipeline shards already cut). */
#ifndef RAFTER_GRAPH_OP_H
#define RAFTER_GRAPH_OP_H

#include "graph/op_names.h"
#include "graph/step.h"
#include "spec/element_type.h"

enum op_kind {
    OP_GEMM, /* C[m,n] = A[m,k] B[n,k]; grouped over experts when experts > 0 */
    OP_ATTENTION,
    OP_RECURRENT,
    OP_CONV,
    OP_NORM,
    OP_ELEMENTWISE,
    OP_GATHER, /* table look-ups, permutations */
    OP_ROUTE,
    OP_SAMPLE,
    OP_TRANSFORM, /* quantise, decompress, decrypt, select */
    OP_COLLECTIVE,
    OP_TRANSFER,
    OP_HOST,
    OP_FETCH, /* of cached tokens between the device and its host, or work on them in the host's memory */
    OP_KIND_COUNT
};

const char *op_kind_name(enum op_kind kind); /* "gemm" */

/* What a row count m follows. */
enum rows {
    ROWS_TOKENS,  /* new tokens of the regime's segments */
    ROWS_SAMPLED, /* positions whose logits are computed */
    ROWS_SEQUENCES,
    ROWS_CONTEXT, /* cached and new tokens: what rewrites or expands the whole KV cache */
    ROWS_PAIRS,   /* (new token, token it may see): what looks at each score */
    ROWS_SOURCE,  /* the encoder's output, when it is met first: what makes cross-attention's K and V */
    ROWS_STEP     /* one in each step that has tokens of the regime, however many: what passes over weights */
};

/* `experts` of a rank to each of which `share` of all tokens go. */
struct expert_load {
    double experts, share;
};

/* How a product reads weights of few bits: converts them on the way to the multiply units; looks sums of
 * activations up by them; multiplies bit by bit; converts all of them first, then multiplies; the fastest. */
enum low_bit_kernel {
    LOW_BIT_DEQUANTIZE,
    LOW_BIT_LOOKUP,
    LOW_BIT_BIT_SERIAL,
    LOW_BIT_EXPAND_FIRST,
    LOW_BIT_BEST
};

/* Where a row's tables (or bit planes) are made: in a kernel before, in the operator before at no pass of its
 * own, in each unit for its own tiles. */
enum low_bit_preparation { PREPARED_BEFORE, PREPARED_FUSED, PREPARED_IN_TILE };

struct low_bit_work {
    enum low_bit_kernel kernel;
    enum low_bit_preparation preparation;
    double group;              /* activations that a table covers */
    bool mirrored;             /* half of the sums are kept, the others are their negatives */
    struct element_type table; /* of a sum */
};

/* How stored weights become operands of a product, and which products its units do. All zero: one
 * multiply-add on the lanes converts a weight whose type is not what the units take, beside loads and
 * products; every weight is multiplied; rows fill tiles as is fastest. */
struct weight_path {
    double
        operations; /* multiply-adds on the lanes for each weight, beside the usual one where types differ */
    double clocks;  /* of a unit for each weight, besides: decoding codes of different lengths */
    bool in_turn;   /* loading, converting and multiplying wait for each other */
    double density; /* share of the weights that is multiplied, by units that skip the others; 0: all */
    bool two_of_four;  /* which only units for that pattern do; others fill it up on the lanes */
    double least_rows; /* tiles of fewer rows are filled up to it; 0: as is fastest */
    double lane_rows;  /* with it, rows up to which lanes may multiply */
};

/* C[m,n] = A[m,k] B[n,k], `batch` times (one per head in MLA's absorbed products). B is a weight buffer. */
struct gemm_work {
    double n, k;
    double batch;
    struct element_type
        a_type; /* as computed with; a type other than the previous op's is made by a TRANSFORM op */
    struct element_type c_type;
    bool bias;
    struct element_type a_from; /* A's type before a pass of this very call quantises it; no name: there is no
                                   such pass */
    double weight_sets;         /* a benchmark's: copies of the weights that take turns; 0: one */
    /* grouped over experts: m rows are tokens; each goes to top_k of `experts`, of which `local_experts` are
     * here */
    double experts; /* 0: not grouped */
    double local_experts;
    double top_k;
    double skew;                 /* exponent of the experts' popularity power law; 0: balanced */
    double ranks;                /* expert-parallel ranks, for the hottest rank's share under skew */
    struct low_bit_work low_bit; /* weights of few bits; zero: they are converted on the way */
    struct weight_path path;
    const struct expert_load
        *dealt; /* not by chance: tokens are dealt to this rank's experts just so; NULL */
    int dealt_count;
    bool marlin; /* Marlin's kernel multiplies, on weights repacked for it */
};

/* Unfused attention is the last three ops. INDEX: an indexer's scores, as attention without softmax and V:
 * per (query, key) one score in fp32, the heads' ReLU'd products summed with weights of the query. */
enum attention_part { PART_FUSED, PART_INDEX, PART_QK, PART_SOFTMAX, PART_PV };

/* Of a context of c cached tokens those that are kept, or looked at: tokens + share * c of them, at most all
 * and at least none. Both zero: all. A share of 1 with tokens below 0 leaves out a constant number. */
struct kept {
    double tokens, share;
};
double kept_of(const struct kept *kept, double context);

/* Scaled dot-product attention over the segments of the op's regime. KV is read from the op's cache buffer.
 */
struct attention_work {
    double heads;    /* query heads */
    double kv_heads; /* as read: 1 latent head for absorbed MLA */
    double qk_dim;
    double v_dim;
    double window;    /* 0: none */
    struct kept kept; /* of the cached tokens, by all heads and queries alike */
    double density;   /* prefill: share of the blocks of scores that are computed at all; 0: all */
    /* decode: lane FLOPs for each cached value beyond a plain conversion's */
    double convert_flops;
    double selected;  /* tokens that an indexer picks for each query of those it may see; 0: all */
    bool latent;      /* V is part of K (absorbed MLA): KV is read once */
    bool one_cache;   /* V lies where K does, yet kernels read both */
    bool mla;         /* its calibration family */
    bool cross;       /* K and V are the encoder's: all of the segments' source, no new tokens */
    double slowdown;  /* prefill: time of the kernel's work over that of one on contiguous KV; 0: 1 */
    bool prefix_once; /* a shared prefix's KV is read once for all sequences */
    enum attention_part part;
    double score_passes, score_bytes; /* SOFTMAX: kernels, bytes that they move for a score; 0: one kernel
                                         that reads and writes each */
    bool block_scores; /* INDEX: only a score a block is written, or none: they are used on chip */
    /* Rotating and writing the KV cache by a kernel that a measurement times together with attention; 0 in
     * models' graphs, where these are operators of their own. A new token's bytes moved, its values handled.
     */
    double setup_bytes, setup_values;
    double kv_sets; /* a benchmark's: copies of the KV cache that take turns; 0: one */
    double saving;  /* decode: share of the kernel's time that a variant of it does without; 0: none */
    struct element_type q_type;
};

enum recurrence { RECURRENCE_MAMBA1, RECURRENCE_MAMBA2, RECURRENCE_GATED_DELTANET, RECURRENCE_MLSTM };

/* A recurrence over new tokens with a state per sequence [heads, key_dim, value_dim] (Mamba: channels x
 * state). */
struct recurrent_work {
    enum recurrence kind;
    double heads;
    double key_dim;
    double value_dim;
    double state_sets; /* a benchmark's: copies of the states that take turns; 0: one */
    double chunk;      /* tokens of a chunk of the chunkwise form in prefill; 1: sequential scan */
};

/* Causal depthwise convolution over `channels` with `width` taps. */
struct conv_work {
    double channels;
    double width;
};

/* Streams: norms, elementwise, gathers, routing, sampling, transforms. Per row: values read and written, lane
 * FLOPs. */
struct stream_work {
    double read;          /* elements a row */
    double written;       /* elements a row */
    double flops;         /* a row */
    double in_place;      /* elements a row that are written where they were read */
    double exponentials;  /* of them, functions such as exp: one FLOP each above */
    double fixed_read;    /* elements read once per execution (norm weights) */
    double token_written; /* ROWS_PAIRS: elements written for each new token */
    double clocks;        /* a row: of a unit, with all of them at work on it */
    double start_clocks;  /* before its first row, besides the usual start: kernels of several phases */
    double fixed_read_bytes_each;
    bool produced; /* by the operator before, in a benchmark too that repeats this one */
    struct element_type read_type;
    struct element_type write_type;
};

enum collective {
    COLLECTIVE_ALL_REDUCE,
    COLLECTIVE_ALL_GATHER,
    COLLECTIVE_REDUCE_SCATTER,
    COLLECTIVE_ALL_TO_ALL
};

/* Along which an all-reduce goes. Star: all send to one, which sums and sends to all. Switch: a kernel of the
 * engine's own has the switch sum, without the library's protocols. */
enum reduction_shape { SHAPE_LIBRARY, SHAPE_RING, SHAPE_TREE, SHAPE_STAR, SHAPE_SWITCH };

/* Among `ranks` devices. bytes_per_row: of the message per rank before the operation (all-gather: of its
 * shard). */
struct collective_work {
    enum collective kind;
    double ranks;
    double bytes_per_row;
    bool narrow;                /* elements of 8 bits, which switches do not sum */
    enum reduction_shape shape; /* ALL_REDUCE */
    double path_links;          /* links between two devices in a row, each with its latency; 0: one */
};

/* Point to point: to the next pipeline stage, or between the first member's memory and a far one: the op's
 * device, or a tier of its own. */
struct transfer_work {
    double bytes_per_row;
    double fixed_bytes;   /* far: moved by an execution, whatever its rows */
    double share_a_row;   /* of fixed_bytes what one row needs, each row by chance: n rows need
                             1 - (1 - share)^n of them; 0: all */
    double request_bytes; /* pieces at random places; 0: in bulk */
    double queue;         /* such requests under way at once; 0: one */
    double bandwidth;     /* byte/s that are reached; 0: the link's and the memory's, calibrated */
    int tier;             /* of the op's device; -1: its main memory */
    bool far;             /* not to the next stage */
    bool writes;          /* to the far end */
    bool at_start;        /* for sequences without a context only */
};

/* Time of the device's that no operator is modelled for: allocation, decryption of so many bytes. */
struct host_work {
    double seconds;
    bool at_start; /* for sequences without a context only */
};

/* Bytes of cached tokens that a sequence moves over a link, or that the host reads for it: token_bytes for
 * each of the kept tokens of its context, or for each new one. */
struct fetch_work {
    double token_bytes;
    struct kept kept;
    bool of_new;       /* the new tokens go out instead */
    double rate;       /* data sheet, byte/s */
    double efficiency; /* of what large copies reach, what these do */
    double fixed;      /* s: starting it, handing over */
    bool waited_for;   /* by the host, which launches nothing meanwhile */
};

enum { BUFFER_NONE = -1, OUTSIDE_LAYERS = -1 };

struct op {
    const char *name; /* of op_names.h */
    enum op_kind kind;
    enum regime regime; /* whose segments it works on */
    enum rows rows;
    double rows_factor; /* m = rows counted * this; below 1 (a share of the tokens) m is rounded up */
    /* ROWS_CONTEXT: of each sequence's tokens; zero: all */
    struct kept rows_kept;
    int block;        /* of the model, or OUTSIDE_LAYERS */
    double per_layer; /* executions in each layer of the block (once per step outside) */
    int weights;      /* buffer read as B operand or parameters; BUFFER_NONE */
    int cache;        /* KV or state buffer read or written; BUFFER_NONE */
    int cache_more;   /* writes_cache: a second one, of heads that are cached apart; BUFFER_NONE */
    bool reads_cache;
    bool writes_cache;
    bool on_first_stage; /* outside layers: runs on the first pipeline stage, else the last */
    bool encodes;        /* of the encoder's layers, or before or behind them */
    int device;          /* member it runs on, or whose memory a transfer reaches; 0: the first */
    int overlap_group;   /* ops of one group may run at once; 0: alone */
    int pieces;          /* so many executions, each on its share of the tokens; 0: one */
    double pieces_from;  /* tokens of a step from which on */
    int waits_for;       /* index of the op whose end it needs; -1: the one before */
    union {
        struct gemm_work gemm;
        struct attention_work attention;
        struct recurrent_work recurrent;
        struct conv_work conv;
        struct stream_work stream;
        struct collective_work collective;
        struct transfer_work transfer;
        struct fetch_work fetch;
        struct host_work host;
    };
};

/* The rows m that the op works on, given the totals of its own regime: counted, scaled, a share rounded up.
 */
double op_rows(const struct op *op, const struct step_totals *totals);

enum buffer_class {
    BUFFER_WEIGHTS,
    BUFFER_KV, /* KV cache and recurrent states: lives as long as the request */
    BUFFER_ACTIVATIONS,
    BUFFER_RESERVED,
    BUFFER_CLASS_COUNT
};

/* Memory on one rank. WEIGHTS: `copies` matrices [rows, cols] in each layer. KV: `elements` values a token
 * (or, when per_sequence, a sequence) in each layer, tokens capped at `window` and rounded up to pages.
 * ACTIVATIONS: elements a token of the step, not per layer. RESERVED: bytes. */
struct buffer {
    const char *name;
    enum buffer_class class;
    struct element_type type;
    int block; /* of the model, or OUTSIDE_LAYERS */
    double rows, cols, copies;
    double touched; /* WEIGHTS: fraction read by one execution: 1; a look-up table: 0 (rows are counted) */
    double stored;  /* WEIGHTS: share of these bytes that lies in memory, compressed; 0: all */
    double elements;
    bool per_sequence;
    double window;         /* 0: none */
    struct kept kept;      /* KV: of a sequence's tokens */
    bool source;           /* KV: of the encoder's tokens, made once, instead of the decoder's */
    double page_tokens;    /* 1: none */
    double sequence_share; /* of the step's sequences on this rank: 1, or 1/dp */
    double bytes;          /* RESERVED */
    bool on_first_stage;
    bool on_last_stage; /* both for OUTSIDE_LAYERS only; a tied embedding is on both */
    int tier;           /* memory tier index it is planned into; -1: the device's main memory */
    double away;        /* share of its bytes that is on away_device (0: the first), in away_tier, instead */
    int away_device;
    int away_tier; /* -1: main memory */
};

/* Bytes of one layer's weights in the buffer (WEIGHTS). */
double buffer_layer_bytes(const struct buffer *buffer);
/* Bytes of one token of one sequence in one layer (KV, not per_sequence) or of one sequence (per_sequence).
 */
double buffer_token_bytes(const struct buffer *buffer);
/* Bytes that `sequences` sequences of `context` tokens hold in one layer: window, pages and share applied. */
double buffer_kv_bytes(const struct buffer *buffer, double sequences, double context);

#endif
