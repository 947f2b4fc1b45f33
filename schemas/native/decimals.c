/* Decimals: two's complement bytes with a scale that the schema gives.
 *
 * Python has no C interface to its Decimal, so both ways go through text, which is still three times faster than
 * through its digits as a tuple.
 */

#include "plan.h"

#define DIGITS_MAX 38 /* what 127 bits always hold */
#define TEXT_MAX 120

/* Write the digits of a number, the last one first; return how many. */
static int
digits_of(uint128 number, char *digits)
{
    int count = 0;
    while (number > UINT64_MAX) {
        digits[count++] = (char)('0' + (int)(number % 10));
        number /= 10;
    }
    uint64_t rest = (uint64_t)number;
    do {
        digits[count++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest);
    return count;
}

PyObject *
read_decimal(const Node *node, const uint8_t *bytes, Py_ssize_t size)
{
    char digits[2 * DIGITS_MAX], text[TEXT_MAX], *at = text;
    for (; size > 16 && bytes[0] == (bytes[1] & 0x80 ? 0xff : 0); size--) {
        bytes++; /* a fixed number of bytes repeats the sign */
    }
    if (size > 16 || node->scale > DIGITS_MAX) {
        return NULL;
    }
    uint128 number = size > 0 && bytes[0] & 0x80 ? ~(uint128)0 : 0;
    for (Py_ssize_t place = 0; place < size; place++) {
        number = number << 8 | bytes[place];
    }
    int negative = (int128)number < 0;
    int count = digits_of(negative ? -number : number, digits);
    if (count > node->precision) {
        return NULL; /* it is to be rounded */
    }
    if (negative) {
        *at++ = '-';
    }
    while (count <= node->scale) {
        digits[count++] = '0';
    }
    while (count > 0) {
        if (count-- == node->scale) {
            *at++ = '.';
        }
        *at++ = digits[count];
    }
    PyObject *shown = PyUnicode_New(at - text, 127);
    if (shown == NULL) {
        return NULL;
    }
    memcpy(PyUnicode_1BYTE_DATA(shown), text, (size_t)(at - text));
    PyObject *value = PyObject_CallOneArg(node->object, shown);
    Py_DECREF(shown);
    return value;
}

typedef struct {
    char digits[TEXT_MAX]; /* without leading zeros, but for a zero's own */
    int count;
    int exponent;
    int negative;
} Parsed;

static int
parse_exponent(const char *at, const char *end, int *exponent)
{
    int number = 0, negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    if (at == end || end - at > 6) {
        return -1;
    }
    for (; at < end; at++) {
        if (*at < '0' || *at > '9') {
            return -1;
        }
        number = number * 10 + (*at - '0');
    }
    *exponent = negative ? -number : number;
    return 0;
}

/* Read the text that Python gives of a finite Decimal. */
static int
parse(const char *at, Py_ssize_t size, Parsed *parsed)
{
    const char *end = at + size;
    int fraction = 0, after_point = 0, exponent = 0;
    parsed->count = 0;
    parsed->negative = at < end && *at == '-';
    at += parsed->negative;
    if (size >= TEXT_MAX) {
        return -1;
    }
    for (; at < end && *at != 'E' && *at != 'e'; at++) {
        if (*at == '.' && !after_point) {
            after_point = 1;
        } else if (*at >= '0' && *at <= '9') {
            fraction += after_point;
            if (parsed->count == 1 && parsed->digits[0] == '0') {
                parsed->count = 0;
            }
            parsed->digits[parsed->count++] = *at;
        } else {
            return -1; /* infinite, or no number */
        }
    }
    if (parsed->count == 0 || (at < end && parse_exponent(at + 1, end, &exponent) < 0)) {
        return -1;
    }
    parsed->exponent = exponent - fraction;
    return 0;
}

/* Round half away from zero to a scale that has fewer digits after the point. */
static void
round_half_up(Parsed *parsed, int scale)
{
    int kept = parsed->count - (-parsed->exponent - scale);
    int up = kept >= 0 && parsed->digits[kept] >= '5';
    parsed->exponent = -scale;
    if (kept <= 0) {
        parsed->digits[0] = up ? '1' : '0';
        parsed->count = 1;
        return;
    }
    parsed->count = kept;
    for (int place = kept - 1; up && place >= 0; place--) {
        up = parsed->digits[place] == '9';
        parsed->digits[place] = up ? '0' : (char)(parsed->digits[place] + 1);
    }
    if (up) {
        memmove(parsed->digits + 1, parsed->digits, (size_t)kept);
        parsed->digits[0] = '1';
        parsed->count++;
    }
}

static int
bits_of(uint128 number)
{
    uint64_t high = (uint64_t)(number >> 64), low = (uint64_t)number;
    return high ? 128 - __builtin_clzll(high) : low ? 64 - __builtin_clzll(low) : 0;
}

static int
write_number(const Node *node, uint128 number, int negative, Output *out)
{
    int size = (bits_of(number) + 8) / 8;
    if (node->kind == DECIMAL_FIXED) {
        /* The pure codec writes a negative zero as another number. */
        if (size > node->size || (negative && number == 0)) {
            return -1;
        }
        size = node->size;
    } else if (write_long(out, size) < 0) {
        return -1;
    }
    if (output_room(out, size) < 0) {
        return -1;
    }
    number = negative ? -number : number;
    for (int place = size - 1; place >= 0; place--) {
        int shift = 8 * place;
        *out->at++ = shift < 128 ? (uint8_t)(number >> shift) : (negative ? 0xff : 0);
    }
    return 0;
}

static int
write_parsed(const Node *node, Parsed *parsed, Output *out)
{
    uint128 number = 0;
    if (node->half_up && parsed->exponent < -node->scale) {
        round_half_up(parsed, node->scale);
    }
    int zeros = parsed->exponent + node->scale;
    /* A number whose zeros up to the scale make it too long is refused, by name of its field, by the pure codec. */
    if (zeros < 0 || parsed->count + zeros > node->precision || parsed->count + zeros > DIGITS_MAX) {
        return -1;
    }
    for (int place = 0; place < parsed->count; place++) {
        number = number * 10 + (uint128)(parsed->digits[place] - '0');
    }
    while (zeros-- > 0) {
        number *= 10;
    }
    return write_number(node, number, parsed->negative, out);
}

int
write_decimal(const Node *node, PyObject *value, Output *out)
{
    Parsed parsed;
    Py_ssize_t size;
    if (Py_TYPE(value) != decimal_type) {
        return -1;
    }
    PyObject *shown = PyObject_Str(value);
    const char *text = shown == NULL ? NULL : PyUnicode_AsUTF8AndSize(shown, &size);
    int failed = text == NULL || (node->kind == DECIMAL_TEXT ? write_sized(out, text, size)
                                  : parse(text, size, &parsed) < 0 ? -1 : write_parsed(node, &parsed, out)) < 0;
    Py_XDECREF(shown);
    return failed ? -1 : 0;
}
