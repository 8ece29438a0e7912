/*
 * attr.h - the compiler attributes that the headers use, under one name each.
 *
 * Nothing else belongs here.
 */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

/* The caller must look at the result. */
#define NODISCARD __attribute__((warn_unused_result))

/* Argument number fmt is a printf format, its values begin at first. */
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

#endif
