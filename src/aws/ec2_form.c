#include "ec2_form.h"

#include "aws/query.h"

void ec2_form_write(struct buf *body, const struct ec2_request *request,
                    struct span token, bool managed)
{
    query_begin(body, ec2_action_name(request->action));
    if (request->action == EC2_DESCRIBE_REGIONS)
        return;
    if (request->filter)
        query_add_filter(body, 1, request->filter->name,
                         request->filter->values, request->filter->nvalues);
    query_add_int(body, "MaxResults",
                  request->ahead_max ? request->ahead_max : EC2_MAX_RESULTS);
    if (managed)
        query_add(body, "IncludeManagedResources", SPAN_LIT("true"));
    if (token.len)
        query_add(body, "NextToken", token);
}
