/*
 * ec2_form.h - the body of one request of a listing; pure.
 */
#ifndef AWS_EC2_FORM_H
#define AWS_EC2_FORM_H

#include <stdbool.h>

#include "aws/ec2.h"
#include "base/buf.h"
#include "base/span.h"

/* Writes the body for the page that token names (empty: the first); with the
 * instances that other services manage when managed is true. */
void ec2_form_write(struct buf *body, const struct ec2_request *request,
                    struct span token, bool managed);

#endif
