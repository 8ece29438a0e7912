/*
 * canned.h - answers that do not come from the fleet.
 */
#ifndef EC2SIM_CANNED_H
#define EC2SIM_CANNED_H

#include "faults.h"
#include "problem.h"
#include "service.h"

/* EC2's error document. */
void canned_problem(const struct problem *problem, struct reply *out);

/* A fault that answers without looking at the fleet. */
void canned_fault(enum fault fault, long arg, enum action action,
                  struct reply *out);

/* Text of that type. */
void canned_text(unsigned status, const char *type, const char *text,
                 struct reply *out);

/* The first part of a page, broken off inside a tag. */
struct blob *canned_truncate(const struct blob *page);

#endif
