#include "http_private.h"

static void unlink_transfer(struct http_transfer *transfer)
{
    struct http_list *list = transfer->in;

    if (!list)
        return;
    if (transfer->prev)
        transfer->prev->next = transfer->next;
    else
        list->first = transfer->next;
    if (transfer->next)
        transfer->next->prev = transfer->prev;
    else
        list->last = transfer->prev;
    list->n--;
    transfer->next = NULL;
    transfer->prev = NULL;
    transfer->in = NULL;
}

void http_list_move(struct http_transfer *transfer, struct http_list *list)
{
    unlink_transfer(transfer);
    if (!list)
        return;
    transfer->prev = list->last;
    if (list->last)
        list->last->next = transfer;
    else
        list->first = transfer;
    list->last = transfer;
    list->n++;
    transfer->in = list;
}
