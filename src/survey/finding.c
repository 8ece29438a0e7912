#include "survey/finding.h"

#include <string.h>

#include "survey/label.h"

/* A text of the instance, as EC2 said it. */
static struct span text_of(const struct ec2_instance *instance,
                           enum finding_field which)
{
    switch (which) {
    case FINDING_ID:
        return instance->id;
    case FINDING_NAME:
        return ec2_instance_tag(instance, "Name");
    case FINDING_STATE:
        return instance->state;
    case FINDING_TYPE:
        return instance->type;
    case FINDING_LAUNCH_TIME:
        return instance->launch_time;
    case FINDING_PRIVATE_IP:
        return ec2_instance_address(instance, EC2_PRIVATE_IP);
    case FINDING_PUBLIC_IP:
        return ec2_instance_address(instance, EC2_PUBLIC_IP);
    case FINDING_IPV6:
        return ec2_instance_address(instance, EC2_IPV6);
    case FINDING_NTEXTS:
        break;
    }
    return (struct span){NULL, 0};
}

/* Appends the text and its end; returns where the next one goes. */
static char *append(char *to, struct span text)
{
    if (text.len)
        memcpy(to, text.p, text.len);
    to[text.len] = '\0';
    return to + text.len + 1;
}

bool finding_pack(struct arena *arena, const struct ec2_instance *instance,
                  unsigned wanted, const struct span *group_ids,
                  size_t ngroup_ids, struct finding *out)
{
    char texts[FINDING_NTEXTS * LABEL_SIZE];
    char *end = texts;
    char *packed;
    size_t size;

    for (unsigned i = 0; i < FINDING_NTEXTS; i++)
        if (wanted & 1U << i)
            end += label_clean(end, text_of(instance, i)).len + 1;
    size = (size_t)(end - texts);
    for (size_t i = 0; i < ngroup_ids; i++)
        size += group_ids[i].len + 1;
    packed = ngroup_ids <= UINT32_MAX ? arena_alloc_text(arena, size) : NULL;
    if (!packed)
        return false;
    memcpy(packed, texts, (size_t)(end - texts));
    end = packed + (end - texts);
    for (size_t i = 0; i < ngroup_ids; i++)
        end = append(end, group_ids[i]);
    *out = (struct finding){packed, wanted, (uint32_t)ngroup_ids};
    return true;
}

bool finding_move(struct arena *arena, struct finding *finding)
{
    size_t size = finding_size(finding);
    char *packed = arena_alloc_text(arena, size);

    if (!packed)
        return false;
    memcpy(packed, finding->packed, size);
    finding->packed = packed;
    return true;
}

/* Where the text is, or where it would be. */
static const char *seek(const struct finding *finding, unsigned which)
{
    const char *at = finding->packed;

    for (unsigned i = 0; i < which; i++)
        if (finding->kept & 1U << i)
            at += strlen(at) + 1;
    return at;
}

struct span finding_text(const struct finding *finding,
                         enum finding_field which)
{
    if (!(finding->kept & 1U << which))
        return (struct span){NULL, 0};
    return span_of(seek(finding, which));
}

int finding_compare(const struct finding *a, const struct finding *b)
{
    return span_cmp(finding_text(a, FINDING_ID), finding_text(b, FINDING_ID));
}

size_t finding_size(const struct finding *finding)
{
    struct finding_groups groups = finding_groups(finding);
    struct span id;

    while (finding_groups_next(&groups, &id))
        ;
    return (size_t)(groups.at - finding->packed);
}

struct finding_groups finding_groups(const struct finding *finding)
{
    return (struct finding_groups){seek(finding, FINDING_NTEXTS),
                                   finding->ngroup_ids};
}

bool finding_groups_next(struct finding_groups *groups, struct span *id)
{
    if (groups->left == 0)
        return false;
    *id = span_of(groups->at);
    groups->at += id->len + 1;
    groups->left--;
    return true;
}

void finding_filter_groups(struct finding *finding,
                           bool (*keep)(const void *arg, struct span id),
                           const void *arg)
{
    struct finding_groups groups = finding_groups(finding);
    char *to = finding->packed + (groups.at - finding->packed);
    struct span id;

    finding->ngroup_ids = 0;
    while (finding_groups_next(&groups, &id)) {
        if (!keep(arg, id))
            continue;
        memmove(to, id.p, id.len + 1);
        to += id.len + 1;
        finding->ngroup_ids++;
    }
}
