/* A plan: an Avro schema as nodes that C code walks to decode and encode records.
 *
 * The walk does what is plain and declines the rest: it returns a failure, with or without an exception, and the caller
 * asks the pure codec, which decides whether the record is good and says what is wrong with it. So a walk must never
 * succeed where the pure codec would fail or give another value; it may decline whatever it likes.
 */

#ifndef THROUGHLINE_PLAN_H
#define THROUGHLINE_PLAN_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>
#include <structmember.h>

#define HEAD_BYTES 5
#define CONDITIONAL_MAX 4
#define DEPTH_MAX 100
#define NODES_MAX 100000

#ifndef __SIZEOF_INT128__
#error "the compiled codec needs 128-bit integers: the pure codec is used without them"
#endif
typedef unsigned __int128 uint128;
typedef __int128 int128;

typedef enum {
    AVRO_NULL,
    AVRO_BOOLEAN,
    AVRO_INT,
    AVRO_LONG,
    AVRO_FLOAT,
    AVRO_DOUBLE,
    AVRO_STRING,
    AVRO_BYTES,
    AVRO_FIXED,
    AVRO_ENUM,
    AVRO_ARRAY,
    AVRO_MAP,
    AVRO_UNION,
    AVRO_RECORD,
    DECIMAL_BYTES,
    DECIMAL_FIXED,
    DECIMAL_TEXT,
    DATE,
    TIME_MILLIS,
    TIME_MICROS,
    INSTANT_MILLIS,
    INSTANT_MICROS,
    INSTANT_NANOS,
    LOCAL_MILLIS,
    LOCAL_MICROS,
    ZONED_TEXT,
    UUID_TEXT,
    NOT_AMONG,
    CALLED,
    KINDS
} Kind;

/* What becomes of a field: kept; left out; left out unless the record's condition holds; kept and never None; the name
 * of the type of the tuple's value at `place`. */
typedef enum { KEPT, LEFT_OUT, CONDITIONAL, NEEDED, TYPE_NAME, MODES } Mode;

typedef struct Node Node;

typedef struct {
    const Node *node;
    PyObject *name;
    PyObject *absent; /* what is written where the key is missing; NULL: decline */
    int32_t place;    /* in the tuple, or -1 */
    uint8_t mode;
} Field;

struct Node {
    uint8_t kind;
    uint8_t as_tuple;  /* record, array, map, union: of tuples instead of dicts and lists */
    uint8_t half_up;   /* decimal: rounded to its scale when written */
    uint8_t checked;   /* record: has fields that may not be any value of their type */
    int32_t count;     /* of fields, branches, symbols */
    int32_t depth;
    int32_t width_min; /* bytes of the shortest value */
    int32_t scale, precision, size;
    int32_t null_at, only; /* union: the branch of None, and the other one where there are two; or -1 */
    int32_t of_dicts;  /* union: branches that take a dict */
    const Node *inner;
    const Node **branches;
    Field *fields;
    PyObject *object;   /* class, symbols, values, callable, or the bytes of a text to decline */
    PyObject *index;    /* dict: symbol or branch name -> number */
    PyObject *constant; /* record of a dict: what it holds whatever the bytes say, or NULL */
    PyObject *condition_field, *condition_value;
};

typedef struct {
    PyObject_HEAD
    Node *nodes;
    Py_ssize_t count;
    PyObject *head;
    PyObject *fallback;
    Py_ssize_t declined;
} Plan;

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} Input;

typedef struct {
    uint8_t *start, *at, *end;
    uint8_t *heap;
    uint8_t first[1024];
} Output;

/* Python's classes that values are made of; set when the module is loaded. */
extern PyTypeObject *decimal_type, *uuid_type, *date_type, *datetime_type, *time_type;

/* compile.c */
int plan_compile(Plan *plan, PyObject *nodes);
void plan_clear(Plan *plan);
int plan_traverse(Plan *plan, visitproc visit, void *arg);

/* measure.c */
int plan_complete(Node *node);

/* decode.c, items.c, skip.c: NULL and -1 are a decline or an exception */
PyObject *read_value(const Node *node, Input *in);
PyObject *read_array(const Node *node, Input *in);
PyObject *read_map(const Node *node, Input *in);
int skip_value(const Node *node, Input *in);

/* encode.c, union.c */
int write_value(const Node *node, PyObject *value, Output *out);
int write_union(const Node *node, PyObject *value, Output *out);

/* decimals.c */
PyObject *read_decimal(const Node *node, const uint8_t *bytes, Py_ssize_t size);
int write_decimal(const Node *node, PyObject *value, Output *out);

/* moments.c */
int moments_load(void);
PyObject *read_moment(const Node *node, int64_t count);
PyObject *read_zoned(const Node *node, const char *text, Py_ssize_t size);
int moment_fits(const Node *node, int64_t count);
int count_of_moment(const Node *node, PyObject *value, int64_t *count);

static inline int
read_long(Input *in, int64_t *value)
{
    const uint8_t *at = in->at;
    uint64_t bits = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (at == in->end) {
            return -1;
        }
        uint8_t byte = *at++;
        bits |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            in->at = at;
            *value = (int64_t)((bits >> 1) ^ (~(bits & 1) + 1));
            return 0;
        }
    }
    return -1; /* no number has more than ten bytes */
}

/* Read the length of a text or of bytes that lie within the input. */
static inline int
read_size(Input *in, Py_ssize_t *size)
{
    int64_t count;
    if (read_long(in, &count) < 0 || count < 0 || count > in->end - in->at) {
        return -1;
    }
    *size = (Py_ssize_t)count;
    return 0;
}

int output_grow(Output *out, Py_ssize_t more);

static inline int
output_room(Output *out, Py_ssize_t more)
{
    return more <= out->end - out->at ? 0 : output_grow(out, more);
}

static inline int
write_long(Output *out, int64_t value)
{
    if (output_room(out, 10) < 0) {
        return -1;
    }
    uint64_t bits = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    uint8_t *at = out->at;
    while (bits > 0x7f) {
        *at++ = (uint8_t)(bits | 0x80);
        bits >>= 7;
    }
    *at++ = (uint8_t)bits;
    out->at = at;
    return 0;
}

static inline int
write_raw(Output *out, const void *bytes, Py_ssize_t size)
{
    if (output_room(out, size) < 0) {
        return -1;
    }
    memcpy(out->at, bytes, (size_t)size);
    out->at += size;
    return 0;
}

static inline int
write_sized(Output *out, const void *bytes, Py_ssize_t size)
{
    return write_long(out, size) < 0 ? -1 : write_raw(out, bytes, size);
}

#endif
