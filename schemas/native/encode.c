/* Encoding: from Python values to bytes, along the nodes of a plan.
 *
 * Only values of exactly the types that a kind is made for are written; for any other, and for what is missing or too
 * much, the plan declines. What is written here is therefore valid under its schema as well, which spares a union with
 * one branch beside null the test before it writes.
 */

#include "plan.h"

int
output_grow(Output *out, Py_ssize_t more)
{
    size_t used = (size_t)(out->at - out->start), size = (size_t)(out->end - out->start);
    while (size - used < (size_t)more) {
        size *= 2;
    }
    uint8_t *heap = PyMem_Realloc(out->heap, size);
    if (heap == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (out->heap == NULL) {
        memcpy(heap, out->first, used);
    }
    out->heap = out->start = heap;
    out->at = heap + used;
    out->end = heap + size;
    return 0;
}

static int
write_whole(const Node *node, PyObject *value, Output *out)
{
    int overflow;
    if (!PyLong_CheckExact(value)) {
        return -1;
    }
    int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
    int narrow = node->kind == AVRO_INT || node->kind == DATE || node->kind == TIME_MILLIS;
    if (overflow || (narrow && (number < INT32_MIN || number > INT32_MAX))) {
        return -1;
    }
    return write_long(out, number);
}

static int
write_real(const Node *node, PyObject *value, Output *out)
{
    if (!PyFloat_CheckExact(value) && !PyLong_CheckExact(value)) {
        return -1;
    }
    double real = PyFloat_AsDouble(value);
    if (real == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    uint64_t bits;
    int size = 8;
    memcpy(&bits, &real, sizeof bits);
    if (node->kind == AVRO_FLOAT) {
        float half = (float)real;
        uint32_t half_bits;
        memcpy(&half_bits, &half, sizeof half_bits);
        bits = half_bits;
        size = 4;
    }
    if (output_room(out, size) < 0) {
        return -1;
    }
    for (; size > 0; size--, bits >>= 8) {
        *out->at++ = (uint8_t)bits;
    }
    return 0;
}

static int
write_text(PyObject *value, Output *out)
{
    Py_ssize_t size;
    if (!PyUnicode_CheckExact(value)) {
        return -1;
    }
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    return text == NULL ? -1 : write_sized(out, text, size);
}

static int
write_uuid(PyObject *value, Output *out)
{
    if (Py_TYPE(value) != uuid_type) {
        return write_text(value, out);
    }
    PyObject *text = PyObject_Str(value);
    int failed = text == NULL || write_text(text, out) < 0;
    Py_XDECREF(text);
    return failed ? -1 : 0;
}

static int
write_bytes(PyObject *value, Output *out)
{
    return PyBytes_CheckExact(value) ? write_sized(out, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)) : -1;
}

static int
write_fixed(const Node *node, PyObject *value, Output *out)
{
    if (!PyBytes_CheckExact(value) || PyBytes_GET_SIZE(value) != node->size) {
        return -1;
    }
    return write_raw(out, PyBytes_AS_STRING(value), node->size);
}

static int
write_symbol(const Node *node, PyObject *value, Output *out)
{
    PyObject *number = PyUnicode_CheckExact(value) ? PyDict_GetItemWithError(node->index, value) : NULL;
    return number == NULL ? -1 : write_long(out, PyLong_AsLong(number));
}

static int
write_list(const Node *node, PyObject *value, Output *out)
{
    int tuple = PyTuple_CheckExact(value);
    if (!tuple && (node->as_tuple || !PyList_CheckExact(value))) {
        return -1;
    }
    Py_ssize_t count = Py_SIZE(value);
    if (count > 0 && write_long(out, count) < 0) {
        return -1;
    }
    for (Py_ssize_t place = 0; place < count; place++) {
        if (!tuple && place >= PyList_GET_SIZE(value)) {
            return -1; /* somebody took items away meanwhile */
        }
        PyObject *item = Py_NewRef(tuple ? PyTuple_GET_ITEM(value, place) : PyList_GET_ITEM(value, place));
        int failed = write_value(node->inner, item, out) < 0;
        Py_DECREF(item);
        if (failed) {
            return -1;
        }
    }
    return write_long(out, 0);
}

static int
write_pair(const Node *node, PyObject *key, PyObject *value, Output *out)
{
    Py_INCREF(key);
    Py_INCREF(value);
    int failed = write_text(key, out) < 0 || write_value(node->inner, value, out) < 0;
    Py_DECREF(key);
    Py_DECREF(value);
    return failed ? -1 : 0;
}

static int
write_dict(const Node *node, PyObject *value, Output *out)
{
    if (!PyDict_CheckExact(value)) {
        return -1;
    }
    Py_ssize_t count = PyDict_GET_SIZE(value), at = 0;
    PyObject *key, *item;
    if (count > 0 && write_long(out, count) < 0) {
        return -1;
    }
    while (PyDict_Next(value, &at, &key, &item)) {
        if (count-- == 0 || write_pair(node, key, item, out) < 0) {
            return -1;
        }
    }
    return count == 0 ? write_long(out, 0) : -1;
}

#define PAIRS_MAX 16

/* Write pairs of texts as a map; of two with one key, the pure codec keeps the second. */
static int
write_pairs(const Node *node, PyObject *value, Output *out)
{
    Py_ssize_t count = PyTuple_CheckExact(value) ? PyTuple_GET_SIZE(value) : PAIRS_MAX + 1;
    if (count > PAIRS_MAX || (count > 0 && write_long(out, count) < 0)) {
        return -1;
    }
    for (Py_ssize_t place = 0; place < count; place++) {
        PyObject *pair = PyTuple_GET_ITEM(value, place);
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyUnicode_CheckExact(PyTuple_GET_ITEM(pair, 0))) {
            return -1;
        }
        PyObject *key = PyTuple_GET_ITEM(pair, 0);
        for (Py_ssize_t other = 0; other < place; other++) {
            if (PyUnicode_Compare(key, PyTuple_GET_ITEM(PyTuple_GET_ITEM(value, other), 0)) == 0) {
                return -1;
            }
        }
        if (write_pair(node, key, PyTuple_GET_ITEM(pair, 1), out) < 0) {
            return -1;
        }
    }
    return write_long(out, 0);
}

static int
write_record(const Node *node, PyObject *record, Output *out)
{
    if (!PyDict_CheckExact(record)) {
        return -1;
    }
    Py_ssize_t found = 0;
    for (int32_t number = 0; number < node->count; number++) {
        const Field *field = &node->fields[number];
        PyObject *value = PyDict_GetItemWithError(record, field->name);
        if (value == NULL) {
            if (PyErr_Occurred() || field->absent == NULL
                || write_raw(out, PyBytes_AS_STRING(field->absent), PyBytes_GET_SIZE(field->absent)) < 0) {
                return -1;
            }
            continue;
        }
        found++;
        Py_INCREF(value);
        int failed = write_value(field->node, value, out) < 0;
        Py_DECREF(value);
        if (failed) {
            return -1;
        }
    }
    return found == PyDict_GET_SIZE(record) ? 0 : -1;
}

/* Write null or the name of a value's type, for a field that says what another one holds. */
static int
write_type_name(const Node *node, PyObject *value, Output *out)
{
    if (value == Py_None) {
        return write_long(out, node->null_at);
    }
    const char *name = Py_TYPE(value)->tp_name, *dot = strrchr(name, '.');
    name = dot == NULL ? name : dot + 1;
    return write_long(out, node->only) < 0 ? -1 : write_sized(out, name, (Py_ssize_t)strlen(name));
}

static int
write_named_tuple(const Node *node, PyObject *record, Output *out)
{
    if ((PyObject *)Py_TYPE(record) != node->object || PyTuple_GET_SIZE(record) != node->size) {
        return -1;
    }
    for (int32_t number = 0; number < node->count; number++) {
        const Field *field = &node->fields[number];
        PyObject *value = PyTuple_GET_ITEM(record, field->place);
        int (*write)(const Node *, PyObject *, Output *) = field->mode == TYPE_NAME ? write_type_name : write_value;
        if (write(field->node, value, out) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
write_moment(const Node *node, PyObject *value, Output *out)
{
    int64_t count;
    if (PyLong_CheckExact(value)) {
        return write_whole(node, value, out);
    }
    return count_of_moment(node, value, &count) < 0 ? -1 : write_long(out, count);
}

int
write_value(const Node *node, PyObject *value, Output *out)
{
    switch ((Kind)node->kind) {
    case AVRO_NULL:
        return value == Py_None ? 0 : -1;
    case AVRO_BOOLEAN:
        return PyBool_Check(value) ? write_raw(out, value == Py_True ? "\1" : "\0", 1) : -1;
    case AVRO_INT:
    case AVRO_LONG:
        return write_whole(node, value, out);
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        return write_real(node, value, out);
    case AVRO_STRING:
        return write_text(value, out);
    case AVRO_BYTES:
        return write_bytes(value, out);
    case AVRO_FIXED:
        return write_fixed(node, value, out);
    case AVRO_ENUM:
        return write_symbol(node, value, out);
    case AVRO_ARRAY:
        return write_list(node, value, out);
    case AVRO_MAP:
        return node->as_tuple ? write_pairs(node, value, out) : write_dict(node, value, out);
    case AVRO_UNION:
        return write_union(node, value, out);
    case AVRO_RECORD:
        return node->as_tuple ? write_named_tuple(node, value, out) : write_record(node, value, out);
    case DECIMAL_BYTES:
        return PyBytes_CheckExact(value) ? write_bytes(value, out) : write_decimal(node, value, out);
    case DECIMAL_FIXED:
        return PyBytes_CheckExact(value) ? write_fixed(node, value, out) : write_decimal(node, value, out);
    case DECIMAL_TEXT:
        return write_decimal(node, value, out);
    case DATE:
    case TIME_MILLIS:
    case TIME_MICROS:
    case INSTANT_MILLIS:
    case INSTANT_MICROS:
    case LOCAL_MILLIS:
    case LOCAL_MICROS:
        return write_moment(node, value, out);
    case UUID_TEXT:
        return write_uuid(value, out);
    default:
        return -1; /* what only a connector writes */
    }
}
