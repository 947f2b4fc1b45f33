/* Decoding: from bytes to Python values, along the nodes of a plan. */

#include "plan.h"

static PyObject *
read_text(const Node *node, Input *in)
{
    Py_ssize_t size;
    if (read_size(in, &size) < 0) {
        return NULL;
    }
    const char *text = (const char *)in->at;
    if (node->object != NULL && size == PyBytes_GET_SIZE(node->object)
        && memcmp(text, PyBytes_AS_STRING(node->object), (size_t)size) == 0) {
        return NULL;
    }
    in->at += size;
    return PyUnicode_DecodeUTF8(text, size, NULL);
}

static PyObject *
read_bytes(const Node *node, Input *in)
{
    Py_ssize_t size;
    if (read_size(in, &size) < 0) {
        return NULL;
    }
    const char *bytes = (const char *)in->at;
    if (node->object != NULL && size == PyBytes_GET_SIZE(node->object)
        && memcmp(bytes, PyBytes_AS_STRING(node->object), (size_t)size) == 0) {
        return NULL;
    }
    in->at += size;
    return PyBytes_FromStringAndSize(bytes, size);
}

static PyObject *
read_fixed(const Node *node, Input *in)
{
    if (node->size > in->end - in->at) {
        return NULL;
    }
    const uint8_t *bytes = in->at;
    in->at += node->size;
    return node->kind == DECIMAL_FIXED ? read_decimal(node, bytes, node->size)
                                       : PyBytes_FromStringAndSize((const char *)bytes, node->size);
}

static PyObject *
read_real(const Node *node, Input *in)
{
    Py_ssize_t size = node->kind == AVRO_FLOAT ? 4 : 8;
    if (size > in->end - in->at) {
        return NULL;
    }
    uint64_t bits = 0;
    for (Py_ssize_t place = size - 1; place >= 0; place--) {
        bits = bits << 8 | in->at[place];
    }
    in->at += size;
    if (size == 8) {
        double real;
        memcpy(&real, &bits, sizeof real);
        return PyFloat_FromDouble(real);
    }
    uint32_t half = (uint32_t)bits;
    float real;
    memcpy(&real, &half, sizeof real);
    return PyFloat_FromDouble(real);
}

static PyObject *
read_symbol(const Node *node, Input *in)
{
    int64_t number;
    if (read_long(in, &number) < 0 || number < 0 || number >= node->count) {
        return NULL;
    }
    return Py_NewRef(PyTuple_GET_ITEM(node->object, (Py_ssize_t)number));
}

static PyObject *
read_union(const Node *node, Input *in)
{
    int64_t number;
    if (read_long(in, &number) < 0 || number < 0 || number >= node->count) {
        return NULL;
    }
    const Node *branch = node->branches[number];
    if (branch->kind == AVRO_NULL) {
        return Py_NewRef(Py_None);
    }
    return read_value(branch, in);
}

/* Read the fields that were passed over, if the record is one that needs them. */
static int
read_conditional(const Node *node, PyObject *record, Input *passed)
{
    PyObject *told = PyDict_GetItemWithError(record, node->condition_field);
    if (told == NULL || !PyUnicode_Check(told)) {
        return -1;
    }
    if (PyUnicode_Compare(told, node->condition_value) != 0) {
        return PyErr_Occurred() ? -1 : 0;
    }
    for (int32_t number = 0; number < node->count; number++) {
        const Field *field = &node->fields[number];
        if (field->mode == CONDITIONAL) {
            PyObject *value = read_value(field->node, passed++);
            int failed = value == NULL || PyDict_SetItem(record, field->name, value) < 0;
            Py_XDECREF(value);
            if (failed) {
                return -1;
            }
        }
    }
    return 0;
}

static PyObject *
read_dict(const Node *node, Input *in)
{
    Input passed[CONDITIONAL_MAX];
    int passed_count = 0;
    PyObject *record = node->constant == NULL ? PyDict_New() : PyDict_Copy(node->constant);
    if (record == NULL) {
        return NULL;
    }
    for (int32_t number = 0; number < node->count; number++) {
        const Field *field = &node->fields[number];
        if (field->mode == LEFT_OUT || field->mode == CONDITIONAL) {
            if (field->mode == CONDITIONAL) {
                passed[passed_count++] = *in;
                if (PyDict_SetItem(record, field->name, Py_None) < 0) {
                    goto failed;
                }
            }
            if (skip_value(field->node, in) < 0) {
                goto failed;
            }
            continue;
        }
        PyObject *value = read_value(field->node, in);
        if (value == NULL) {
            goto failed;
        }
        int failed = (value == Py_None && field->mode == NEEDED) || PyDict_SetItem(record, field->name, value) < 0;
        Py_DECREF(value);
        if (failed) {
            goto failed;
        }
    }
    if (passed_count && read_conditional(node, record, passed) < 0) {
        goto failed;
    }
    return record;
failed:
    Py_DECREF(record);
    return NULL;
}

/* Tell whether a field that names the type of a value says what the value is. */
static int
is_named(PyObject *value, Input told, const Node *node)
{
    int64_t branch;
    Py_ssize_t size;
    if (read_long(&told, &branch) < 0) {
        return 0;
    }
    if (branch == node->null_at || value == Py_None) {
        return branch == node->null_at && value == Py_None;
    }
    const char *name = Py_TYPE(value)->tp_name;
    const char *dot = strrchr(name, '.');
    name = dot == NULL ? name : dot + 1;
    return read_size(&told, &size) == 0 && (size_t)size == strlen(name) && memcmp(told.at, name, (size_t)size) == 0;
}

static PyObject *
read_named_tuple(const Node *node, Input *in)
{
    PyTypeObject *type = (PyTypeObject *)node->object;
    PyObject *record = type->tp_alloc(type, node->size);
    if (record == NULL) {
        return NULL;
    }
    Input told = {NULL, NULL};
    const Field *names = NULL;
    for (int32_t number = 0; number < node->count; number++) {
        const Field *field = &node->fields[number];
        if (field->mode == KEPT) {
            PyObject *value = read_value(field->node, in);
            if (value == NULL) {
                goto failed;
            }
            PyTuple_SET_ITEM(record, field->place, value);
            continue;
        }
        if (field->mode == TYPE_NAME) {
            told = *in;
            names = field;
        }
        if (skip_value(field->node, in) < 0) {
            goto failed;
        }
    }
    if (names != NULL && !is_named(PyTuple_GET_ITEM(record, names->place), told, names->node)) {
        goto failed;
    }
    return record;
failed:
    Py_DECREF(record);
    return NULL;
}

static PyObject *
read_called(const Node *node, Input *in)
{
    PyObject *value = read_value(node->inner, in), *result;
    if (value == NULL) {
        return NULL;
    }
    if (node->kind == CALLED) {
        result = PyObject_CallOneArg(node->object, value);
    } else {
        int among = PySequence_Contains(node->object, value);
        result = among < 0 ? NULL : Py_NewRef(among ? Py_False : Py_True);
    }
    Py_DECREF(value);
    return result;
}

static PyObject *
read_sized(const Node *node, Input *in)
{
    Py_ssize_t size;
    if (read_size(in, &size) < 0) {
        return NULL;
    }
    const uint8_t *bytes = in->at;
    in->at += size;
    if (node->kind == DECIMAL_BYTES) {
        return read_decimal(node, bytes, size);
    }
    if (node->kind == ZONED_TEXT) {
        return read_zoned(node, (const char *)bytes, size);
    }
    PyObject *text = PyUnicode_DecodeUTF8((const char *)bytes, size, NULL);
    if (text == NULL) {
        return NULL;
    }
    PyObject *value = PyObject_CallOneArg(node->object, text);
    Py_DECREF(text);
    return value;
}

PyObject *
read_value(const Node *node, Input *in)
{
    int64_t number;
    switch ((Kind)node->kind) {
    case AVRO_NULL:
        return Py_NewRef(Py_None);
    case AVRO_BOOLEAN:
        return in->at == in->end ? NULL : Py_NewRef(*in->at++ ? Py_True : Py_False);
    case AVRO_INT:
    case AVRO_LONG:
        return read_long(in, &number) < 0 ? NULL : PyLong_FromLongLong(number);
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        return read_real(node, in);
    case AVRO_STRING:
        return read_text(node, in);
    case AVRO_BYTES:
        return read_bytes(node, in);
    case AVRO_FIXED:
    case DECIMAL_FIXED:
        return read_fixed(node, in);
    case AVRO_ENUM:
        return read_symbol(node, in);
    case AVRO_ARRAY:
        return read_array(node, in);
    case AVRO_MAP:
        return read_map(node, in);
    case AVRO_UNION:
        return read_union(node, in);
    case AVRO_RECORD:
        return node->as_tuple ? read_named_tuple(node, in) : read_dict(node, in);
    case DATE:
    case TIME_MILLIS:
    case TIME_MICROS:
    case INSTANT_MILLIS:
    case INSTANT_MICROS:
    case INSTANT_NANOS:
    case LOCAL_MILLIS:
    case LOCAL_MICROS:
        return read_long(in, &number) < 0 ? NULL : read_moment(node, number);
    case DECIMAL_BYTES:
    case DECIMAL_TEXT:
    case ZONED_TEXT:
    case UUID_TEXT:
        return read_sized(node, in);
    case NOT_AMONG:
    case CALLED:
        return read_called(node, in);
    case KINDS:
        break;
    }
    return NULL;
}
