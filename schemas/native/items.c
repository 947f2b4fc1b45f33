/* Decoding arrays and maps: as long as their bytes say, but never longer than their bytes. */

#include "plan.h"

/* Read how many items a block has, given the bytes the shortest takes: 0 ends them, less is a decline.
 *
 * A block that says its size in bytes, too, has a negative count; few writers make such.
 */
static int64_t
read_block(Input *in, int64_t width_min)
{
    int64_t count;
    if (read_long(in, &count) < 0 || count > (in->end - in->at) / width_min) {
        return -1;
    }
    return count;
}

static PyObject *
read_tuple(const Node *node, Input *in)
{
    int64_t count = read_block(in, node->inner->width_min), end = 0;
    if (count < 0) {
        return NULL;
    }
    PyObject *items = PyTuple_New((Py_ssize_t)count);
    if (items == NULL) {
        return NULL;
    }
    for (Py_ssize_t place = 0; place < (Py_ssize_t)count; place++) {
        PyObject *item = read_value(node->inner, in);
        if (item == NULL) {
            Py_DECREF(items);
            return NULL;
        }
        PyTuple_SET_ITEM(items, place, item);
    }
    if (count > 0 && (read_long(in, &end) < 0 || end != 0)) {
        Py_DECREF(items); /* several blocks, which is not how we write */
        return NULL;
    }
    return items;
}

static PyObject *
read_list(const Node *node, Input *in)
{
    PyObject *items = PyList_New(0);
    if (items == NULL) {
        return NULL;
    }
    for (;;) {
        int64_t count = read_block(in, node->inner->width_min);
        if (count == 0) {
            return items;
        }
        if (count < 0) {
            break;
        }
        while (count-- > 0) {
            PyObject *item = read_value(node->inner, in);
            if (item == NULL) {
                goto failed;
            }
            int full = PyList_Append(items, item);
            Py_DECREF(item);
            if (full < 0) {
                goto failed;
            }
        }
    }
failed:
    Py_DECREF(items);
    return NULL;
}

static PyObject *
pairs_of(PyObject *items)
{
    PyObject *pairs = PyTuple_New(PyDict_GET_SIZE(items));
    Py_ssize_t at = 0, place = 0;
    PyObject *key, *value;
    while (pairs != NULL && PyDict_Next(items, &at, &key, &value)) {
        PyObject *pair = PyTuple_Pack(2, key, value);
        if (pair == NULL) {
            Py_CLEAR(pairs);
            break;
        }
        PyTuple_SET_ITEM(pairs, place++, pair);
    }
    Py_DECREF(items);
    return pairs;
}

PyObject *
read_map(const Node *node, Input *in)
{
    PyObject *items = PyDict_New();
    if (items == NULL) {
        return NULL;
    }
    for (;;) {
        int64_t count = read_block(in, 1 + node->inner->width_min);
        if (count == 0) {
            return node->as_tuple ? pairs_of(items) : items;
        }
        if (count < 0) {
            break;
        }
        while (count-- > 0) {
            Py_ssize_t size;
            if (read_size(in, &size) < 0) {
                goto failed;
            }
            PyObject *key = PyUnicode_DecodeUTF8((const char *)in->at, size, NULL);
            in->at += size;
            PyObject *value = key == NULL ? NULL : read_value(node->inner, in);
            int failed = value == NULL || PyDict_SetItem(items, key, value) < 0;
            Py_XDECREF(key);
            Py_XDECREF(value);
            if (failed) {
                goto failed;
            }
        }
    }
failed:
    Py_DECREF(items);
    return NULL;
}

PyObject *
read_array(const Node *node, Input *in)
{
    return node->as_tuple ? read_tuple(node, in) : read_list(node, in);
}
