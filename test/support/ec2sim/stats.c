/*
 * stats.c - counts what was asked and answered, for tests to look at.
 */
#include "stats.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STATUS 600

struct counts {
    json_int_t requests[ACTION_COUNT + 1];
    json_int_t answers[MAX_STATUS];
    json_int_t connections;
    json_int_t handshakes;
    json_int_t bytes;
};

struct stats {
    pthread_mutex_t lock;
    const struct world *world;
    json_int_t connections;
    struct counts *counts; /* one for each region */
};

struct stats *stats_new(const struct world *world)
{
    struct stats *stats = must_calloc(1, sizeof(*stats));

    pthread_mutex_init(&stats->lock, NULL);
    stats->world = world;
    stats->counts = must_calloc(world->nregions, sizeof(*stats->counts));
    return stats;
}

void stats_free(struct stats *stats)
{
    if (!stats)
        return;
    pthread_mutex_destroy(&stats->lock);
    free(stats->counts);
    free(stats);
}

void stats_reset(struct stats *stats)
{
    pthread_mutex_lock(&stats->lock);
    stats->connections = 0;
    memset(stats->counts, 0, stats->world->nregions * sizeof(*stats->counts));
    pthread_mutex_unlock(&stats->lock);
}

static struct counts *counts_of(struct stats *stats,
                                const struct region *region)
{
    return &stats->counts[region - stats->world->regions];
}

void stats_connection(struct stats *stats)
{
    pthread_mutex_lock(&stats->lock);
    stats->connections++;
    pthread_mutex_unlock(&stats->lock);
}

void stats_connection_of(struct stats *stats, const struct region *region)
{
    pthread_mutex_lock(&stats->lock);
    counts_of(stats, region)->connections++;
    pthread_mutex_unlock(&stats->lock);
}

void stats_handshake_of(struct stats *stats, const struct region *region)
{
    pthread_mutex_lock(&stats->lock);
    counts_of(stats, region)->handshakes++;
    pthread_mutex_unlock(&stats->lock);
}

void stats_answer(struct stats *stats, const struct region *region,
                  enum action action, unsigned status, size_t bytes)
{
    struct counts *counts;

    pthread_mutex_lock(&stats->lock);
    counts = counts_of(stats, region);
    counts->requests[action]++;
    if (status < MAX_STATUS)
        counts->answers[status]++;
    counts->bytes += (json_int_t)bytes;
    pthread_mutex_unlock(&stats->lock);
}

static json_t *counts_json(const struct counts *counts)
{
    json_t *requests = json_object();
    json_t *answers = json_object();
    char status[16];

    for (int i = 0; i <= ACTION_COUNT; i++) {
        const char *name =
            i < ACTION_COUNT ? action_name((enum action)i) : "other";

        if (counts->requests[i])
            json_object_set_new(requests, name,
                                json_integer(counts->requests[i]));
    }
    for (int i = 0; i < MAX_STATUS; i++) {
        snprintf(status, sizeof(status), "%d", i);
        if (counts->answers[i])
            json_object_set_new(answers, status,
                                json_integer(counts->answers[i]));
    }
    return json_pack("{s:o, s:o, s:I, s:I, s:I}", "requests", requests,
                     "answers", answers, "connections", counts->connections,
                     "handshakes", counts->handshakes, "bytes", counts->bytes);
}

void stats_json(struct stats *stats, struct text *out)
{
    json_t *regions = json_object();
    json_t *root;
    char *json;

    pthread_mutex_lock(&stats->lock);
    for (size_t i = 0; i < stats->world->nregions; i++)
        json_object_set_new(regions, stats->world->regions[i].name,
                            counts_json(&stats->counts[i]));
    root = json_pack("{s:I, s:o}", "connections", stats->connections, "regions",
                     regions);
    pthread_mutex_unlock(&stats->lock);
    json = json_dumps(root, JSON_COMPACT);
    text_str(out, json ? json : "{}");
    text_str(out, "\n");
    free(json);
    json_decref(root);
}
