/*
 * text.h - growing text and small parsing helpers of the simulator.
 *
 * The simulator shares no code with the program that it tests, so that a
 * mistake there cannot hide itself here. It is a tool for tests: when memory
 * runs out it says so and ends.
 */
#ifndef EC2SIM_TEXT_H
#define EC2SIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Empty value: all zero. p is NULL only while len is 0, else terminated. */
struct text {
    char *p;
    size_t len; /* bytes, without the terminator */
    size_t cap;
};

/* Zeroed memory for n items; never NULL, ends the process instead. */
void *must_calloc(size_t n, size_t size);

/* p with room for n items; never NULL. */
void *must_resize(void *p, size_t n, size_t size);

/* A copy that the caller frees. */
char *must_copy(const char *s, size_t len);

/* Room for len more bytes and a terminator. */
void text_reserve(struct text *t, size_t len);
void text_add(struct text *t, const void *p, size_t len);
void text_str(struct text *t, const char *s);
void text_addf(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void text_release(struct text *t);

/* The len bytes at s as a decimal number from min to max; false: not one. */
bool text_number(const char *s, size_t len, long min, long max, long *out);

/* As text_number, for a terminated string. */
bool text_number_str(const char *s, long min, long max, long *out);

/* Equal but for ASCII letter case. */
bool text_same_nocase(const char *a, const char *b);

#endif
