/* Dates, times and instants: counts since 1970 in a schema, Python's own classes here. */

#include "plan.h"

#include <datetime.h>

#define DAY_FIRST (-719162)  /* 0001-01-01 */
#define DAY_LAST 2932896     /* 9999-12-31 */
#define MILLIS_A_DAY 86400000LL
#define MICROS_A_DAY 86400000000LL

int
moments_load(void)
{
    PyDateTime_IMPORT;
    if (PyDateTimeAPI == NULL) {
        return -1;
    }
    date_type = PyDateTimeAPI->DateType;
    datetime_type = PyDateTimeAPI->DateTimeType;
    time_type = PyDateTimeAPI->TimeType;
    return 0;
}

static int64_t
floor_of(int64_t count, int64_t unit)
{
    return count / unit - (count % unit < 0);
}

/* Years are counted from March, so that the day a leap year adds is the last of a year. */
static void
calendar_of(int64_t day, int *year, int *month, int *day_of_month)
{
    int64_t since = day + 719468; /* days since 0000-03-01: never negative here */
    int64_t era = since / 146097, of_era = since % 146097;
    int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * years + years / 4 - years / 100);
    int64_t months = (5 * of_year + 2) / 153;
    *day_of_month = (int)(of_year - (153 * months + 2) / 5) + 1;
    *month = (int)(months < 10 ? months + 3 : months - 9);
    *year = (int)(years + 400 * era) + (*month <= 2);
}

static int64_t
day_of(int year, int month, int day_of_month)
{
    int64_t years = year - (month <= 2), era = years / 400, of_era = years % 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day_of_month - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int
moment_fits(const Node *node, int64_t count)
{
    int64_t unit = node->kind == INSTANT_MILLIS ? MILLIS_A_DAY : node->kind == INSTANT_MICROS ? MICROS_A_DAY : 1;
    int64_t day = floor_of(count, unit);
    return day >= DAY_FIRST && day <= DAY_LAST;
}

static PyObject *
date_of(int64_t day)
{
    int year, month, day_of_month;
    if (day < DAY_FIRST || day > DAY_LAST) {
        return NULL;
    }
    calendar_of(day, &year, &month, &day_of_month);
    return PyDate_FromDate(year, month, day_of_month);
}

static PyObject *
datetime_of(int64_t day, int64_t micros, PyObject *zone)
{
    int year, month, day_of_month;
    if (day < DAY_FIRST || day > DAY_LAST) {
        return NULL;
    }
    calendar_of(day, &year, &month, &day_of_month);
    int64_t seconds = micros / 1000000;
    return PyDateTimeAPI->DateTime_FromDateAndTime(year, month, day_of_month, (int)(seconds / 3600),
                                                   (int)(seconds / 60 % 60), (int)(seconds % 60),
                                                   (int)(micros % 1000000), zone, datetime_type);
}

static PyObject *
time_of(int64_t micros)
{
    if (micros < 0 || micros >= MICROS_A_DAY) {
        return NULL;
    }
    int64_t seconds = micros / 1000000;
    return PyTime_FromTime((int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60),
                           (int)(micros % 1000000));
}

PyObject *
read_moment(const Node *node, int64_t count)
{
    int64_t day;
    switch ((Kind)node->kind) {
    case DATE:
        return date_of(count);
    case TIME_MILLIS:
        return count < 0 || count >= MILLIS_A_DAY ? NULL : time_of(count * 1000);
    case TIME_MICROS:
        return time_of(count);
    case INSTANT_MILLIS:
    case LOCAL_MILLIS:
        day = floor_of(count, MILLIS_A_DAY);
        return datetime_of(day, (count - day * MILLIS_A_DAY) * 1000,
                           node->kind == LOCAL_MILLIS ? Py_None : PyDateTime_TimeZone_UTC);
    case INSTANT_NANOS:
        count = floor_of(count, 1000);
        /* fall through */
    default:
        day = floor_of(count, MICROS_A_DAY);
        return datetime_of(day, count - day * MICROS_A_DAY,
                           node->kind == LOCAL_MICROS ? Py_None : PyDateTime_TimeZone_UTC);
    }
}

static int
number_at(const char *text, int count)
{
    int number = 0;
    while (count-- > 0) {
        if (*text < '0' || *text > '9') {
            return -1;
        }
        number = number * 10 + (*text++ - '0');
    }
    return number;
}

/* Read 2026-01-31T12:00:00[.FRACTION]Z without Python; any other form is left to Python. */
PyObject *
read_zoned(const Node *node, const char *text, Py_ssize_t size)
{
    if (size >= 20 && size <= 27 && size != 21 && text[4] == '-' && text[7] == '-' && text[10] == 'T' && text[13] == ':'
        && text[16] == ':' && text[size - 1] == 'Z' && (size == 20 || text[19] == '.')) {
        int year = number_at(text, 4), month = number_at(text + 5, 2), day = number_at(text + 8, 2);
        int hour = number_at(text + 11, 2), minute = number_at(text + 14, 2), second = number_at(text + 17, 2);
        int digits = size == 20 ? 0 : (int)size - 21;
        int micros = number_at(text + 20, digits);
        if ((year | month | day | hour | minute | second | micros) < 0) {
            return NULL;
        }
        for (; digits < 6; digits++) {
            micros *= 10;
        }
        return PyDateTimeAPI->DateTime_FromDateAndTime(year, month, day, hour, minute, second, micros,
                                                       PyDateTime_TimeZone_UTC, datetime_type);
    }
    PyObject *shown = PyUnicode_DecodeUTF8(text, size, NULL);
    if (shown == NULL) {
        return NULL;
    }
    PyObject *value = PyObject_CallOneArg(node->object, shown);
    Py_DECREF(shown);
    return value;
}

static int
count_of_date(PyObject *value, int64_t *count)
{
    *count = day_of(PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value));
    return 0;
}

static int
count_of_time(const Node *node, PyObject *value, int64_t *count)
{
    int64_t seconds = PyDateTime_TIME_GET_HOUR(value) * 3600 + PyDateTime_TIME_GET_MINUTE(value) * 60
                      + PyDateTime_TIME_GET_SECOND(value);
    int micros = PyDateTime_TIME_GET_MICROSECOND(value);
    *count = node->kind == TIME_MILLIS ? seconds * 1000 + micros / 1000 : seconds * 1000000 + micros;
    return 0;
}

static int
count_of_datetime(const Node *node, PyObject *value, int64_t *count)
{
    int millis = node->kind == INSTANT_MILLIS || node->kind == LOCAL_MILLIS;
    int micros = PyDateTime_DATE_GET_MICROSECOND(value);
    if (node->kind == INSTANT_MILLIS || node->kind == INSTANT_MICROS) {
        /* The pure codec takes other zones apart, and refuses what is finer than its contract. */
        if (PyDateTime_DATE_GET_TZINFO(value) != PyDateTime_TimeZone_UTC || (millis && micros % 1000)) {
            return -1;
        }
    }
    count_of_date(value, count);
    int64_t seconds = *count * 86400 + PyDateTime_DATE_GET_HOUR(value) * 3600 + PyDateTime_DATE_GET_MINUTE(value) * 60
                      + PyDateTime_DATE_GET_SECOND(value);
    *count = millis ? seconds * 1000 + micros / 1000 : seconds * 1000000 + micros;
    return 0;
}

int
count_of_moment(const Node *node, PyObject *value, int64_t *count)
{
    PyTypeObject *type = Py_TYPE(value);
    switch ((Kind)node->kind) {
    case DATE:
        return type == date_type ? count_of_date(value, count) : -1; /* a moment would lose its time */
    case TIME_MILLIS:
    case TIME_MICROS:
        return type == time_type ? count_of_time(node, value, count) : -1;
    case INSTANT_MILLIS:
    case INSTANT_MICROS:
    case LOCAL_MILLIS:
    case LOCAL_MICROS:
        return type == datetime_type ? count_of_datetime(node, value, count) : -1;
    default:
        return -1;
    }
}
