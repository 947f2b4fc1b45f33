/* Which branch of a union a value is written as: the one that the pure codec would choose. */

#include "plan.h"

typedef enum { NO, YES, MAYBE, UNSURE } Answer;

/* The classes of Python whose values the branches of a union are told apart by. */
typedef enum {
    OF_NONE = 1 << 0,
    OF_BOOL = 1 << 1,
    OF_INT = 1 << 2,
    OF_FLOAT = 1 << 3,
    OF_STR = 1 << 4,
    OF_BYTES = 1 << 5,
    OF_DECIMAL = 1 << 6,
    OF_DATE = 1 << 7,
    OF_DATETIME = 1 << 8,
    OF_TIME = 1 << 9,
    OF_UUID = 1 << 10,
    OF_LIST = 1 << 11,
    OF_DICT = 1 << 12,
    OF_TUPLE = 1 << 13,
    OF_NAMED_TUPLE = 1 << 14,
} Class;

static int
class_of(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    return type == &PyUnicode_Type  ? OF_STR
           : type == &PyLong_Type   ? OF_INT
           : type == &PyDict_Type   ? OF_DICT
           : type == decimal_type   ? OF_DECIMAL
           : type == &PyBool_Type   ? OF_BOOL
           : type == &PyFloat_Type  ? OF_FLOAT
           : type == &PyBytes_Type  ? OF_BYTES
           : type == date_type      ? OF_DATE
           : type == datetime_type  ? OF_DATETIME
           : type == time_type      ? OF_TIME
           : type == uuid_type      ? OF_UUID
           : type == &PyList_Type   ? OF_LIST
           : type == &PyTuple_Type  ? OF_TUPLE
           : PyTuple_Check(value)   ? OF_NAMED_TUPLE
           : value == Py_None       ? OF_NONE
                                    : 0;
}

/* For each kind, the classes it certainly takes, may take, and where only the pure codec knows; no others. */
static const struct {
    uint16_t yes, maybe, unsure;
} taken[KINDS] = {
    [AVRO_NULL] = {OF_NONE, 0, 0},
    [AVRO_BOOLEAN] = {OF_BOOL, 0, 0},
    [AVRO_INT] = {OF_INT, 0, 0},
    [AVRO_LONG] = {OF_INT, 0, 0},
    [AVRO_FLOAT] = {0, 0, OF_FLOAT | OF_INT}, /* a double that comes later goes first */
    [AVRO_DOUBLE] = {OF_FLOAT | OF_INT, 0, 0},
    [AVRO_STRING] = {OF_STR, 0, 0},
    [AVRO_BYTES] = {OF_BYTES, 0, 0},
    [AVRO_FIXED] = {OF_BYTES, 0, 0},
    [AVRO_ENUM] = {OF_STR, 0, 0},
    [AVRO_ARRAY] = {0, OF_LIST | OF_TUPLE, OF_BYTES},
    [AVRO_MAP] = {0, OF_DICT | OF_TUPLE, 0},
    [AVRO_RECORD] = {0, OF_DICT, 0},
    [DECIMAL_BYTES] = {OF_BYTES | OF_DECIMAL, 0, 0},
    [DECIMAL_FIXED] = {OF_BYTES | OF_DECIMAL, 0, 0},
    [DECIMAL_TEXT] = {OF_DECIMAL, 0, 0},
    [DATE] = {OF_INT | OF_DATE, 0, OF_STR | OF_DATETIME},
    [TIME_MILLIS] = {OF_INT | OF_TIME, 0, 0},
    [TIME_MICROS] = {OF_INT | OF_TIME, 0, 0},
    [INSTANT_MILLIS] = {OF_INT | OF_DATETIME, 0, 0},
    [INSTANT_MICROS] = {OF_INT | OF_DATETIME, 0, 0},
    [LOCAL_MILLIS] = {OF_INT | OF_DATETIME, 0, 0},
    [LOCAL_MICROS] = {OF_INT | OF_DATETIME, 0, 0},
    [UUID_TEXT] = {OF_STR | OF_UUID, 0, 0},
};

/* Tell whether a branch takes a value of its class, whatever other values of the class it does not. */
static Answer
takes(const Node *branch, PyObject *value, int of)
{
    int overflow;
    if (taken[branch->kind].maybe & of) {
        return MAYBE;
    }
    if (taken[branch->kind].unsure & of) {
        return UNSURE;
    }
    if (!(taken[branch->kind].yes & of)) {
        return NO;
    }
    switch ((Kind)branch->kind) {
    case AVRO_ENUM:
        return PyDict_GetItemWithError(branch->index, value) != NULL ? YES : PyErr_Occurred() ? UNSURE : NO;
    case AVRO_FIXED:
    case DECIMAL_FIXED:
        return of == OF_DECIMAL || PyBytes_GET_SIZE(value) == branch->size ? YES : NO;
    case AVRO_INT:
    case DATE:
    case TIME_MILLIS:
        if (of == OF_INT) {
            long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
            return !overflow && number >= INT32_MIN && number <= INT32_MAX ? YES : NO;
        }
        return YES;
    default:
        if (of == OF_INT && branch->kind != AVRO_DOUBLE) {
            PyLong_AsLongLongAndOverflow(value, &overflow);
            return overflow ? NO : YES;
        }
        return YES;
    }
}

static int
write_branch(const Node *node, int32_t number, PyObject *value, Output *out)
{
    return write_long(out, number) < 0 ? -1 : write_value(node->branches[number], value, out);
}

/* (name of a branch, value): the notation of fastavro for saying which branch is meant. */
static int
write_named_branch(const Node *node, PyObject *pair, Output *out)
{
    if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyUnicode_CheckExact(PyTuple_GET_ITEM(pair, 0))) {
        return -1;
    }
    PyObject *number = PyDict_GetItemWithError(node->index, PyTuple_GET_ITEM(pair, 0));
    return number == NULL ? -1 : write_branch(node, (int32_t)PyLong_AsLong(number), PyTuple_GET_ITEM(pair, 1), out);
}

int
write_union(const Node *node, PyObject *value, Output *out)
{
    if (value == Py_None) {
        return node->null_at < 0 ? -1 : write_long(out, node->null_at);
    }
    if (PyTuple_Check(value) && !node->as_tuple) {
        return write_named_branch(node, value, out);
    }
    if (node->only >= 0) {
        return write_branch(node, node->only, value, out);
    }
    int of = class_of(value);
    for (int32_t number = 0; number < node->count; number++) {
        const Node *branch = node->branches[number];
        Answer answer;
        if (branch->kind == AVRO_RECORD && branch->as_tuple) {
            answer = branch->object == (PyObject *)Py_TYPE(value) ? YES : NO;
        } else {
            answer = of == 0 ? UNSURE : takes(branch, value, of);
        }
        if (answer == UNSURE || (of == OF_DICT && answer == MAYBE && node->of_dicts > 1)) {
            return -1;
        }
        if (answer != NO) {
            return write_branch(node, number, value, out);
        }
    }
    return -1;
}
