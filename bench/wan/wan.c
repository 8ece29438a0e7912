/*
 * wan.c - a wide-area network in user space, between two network namespaces.
 *
 *     wan CLIENT_NAMESPACE SERVER_NAMESPACE TABLE
 *
 * TABLE has a line for each server, "10.77.0.N RTT_MS". Each IPv4 packet is
 * held for half the round-trip time of its server, in each direction, so TCP,
 * TLS and slow start cost what they cost on a real path; bandwidth is not
 * limited and nothing is lost. netem would do this in the kernel, but many
 * kernels come without it.
 *
 * Both ends get a tun device "wan0", which the caller gives its addresses.
 * "ready" is printed when they are there. Needs CAP_SYS_ADMIN; ends by a
 * signal.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define MAX_PACKET 2048
#define MAX_QUEUED 65536
#define HOSTS 256 /* told apart by the last byte of their address */
#define IPV4_HEADER 20
#define FROM_LAST 15 /* where the last byte of either address is */
#define TO_LAST 19

enum end {
    CLIENT,
    SERVER,
    ENDS,
};

struct packet {
    int64_t due_us;
    uint64_t number; /* packets due at one time keep their order */
    enum end to;
    size_t len;
    unsigned char *data;
};

struct wan {
    struct pollfd ends[ENDS];
    int64_t half_us[HOSTS];
    uint64_t npackets;
    struct packet *heap; /* the one due first is on top */
    size_t nqueued;
    bool full; /* it was, and that has been told */
};

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool is_before(const struct packet *a, const struct packet *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us
                                  : a->number < b->number;
}

static void swap(struct packet *a, struct packet *b)
{
    struct packet keep = *a;

    *a = *b;
    *b = keep;
}

/* Takes the packet over; a full queue drops it, as a router would, and says so
 * the first time. */
static void push(struct wan *wan, struct packet packet)
{
    struct packet *heap = wan->heap;
    size_t i = wan->nqueued;

    if (i == MAX_QUEUED) {
        if (!wan->full)
            fputs("wan: the queue is full, packets are lost\n", stderr);
        wan->full = true;
        free(packet.data);
        return;
    }
    heap[i] = packet;
    wan->nqueued++;
    while (i > 0 && is_before(&heap[i], &heap[(i - 1) / 2])) {
        swap(&heap[i], &heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static struct packet pop(struct wan *wan)
{
    struct packet *heap = wan->heap;
    struct packet top = heap[0];
    size_t i = 0;

    heap[0] = heap[--wan->nqueued];
    for (;;) {
        size_t child = 2 * i + 1;
        size_t first = i;

        if (child < wan->nqueued && is_before(&heap[child], &heap[first]))
            first = child;
        child++;
        if (child < wan->nqueued && is_before(&heap[child], &heap[first]))
            first = child;
        if (first == i)
            return top;
        swap(&heap[i], &heap[first]);
        i = first;
    }
}

/* A tun device in the namespace; -1 after a message. */
static int open_end(const char *namespace)
{
    struct ifreq request = {
        .ifr_name = "wan0",
        .ifr_flags = IFF_TUN | IFF_NO_PI,
    };
    char path[256];
    int where;
    int tun = -1;

    snprintf(path, sizeof(path), "/run/netns/%s", namespace);
    where = open(path, O_RDONLY | O_CLOEXEC);
    if (where >= 0 && setns(where, CLONE_NEWNET) == 0)
        tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun >= 0 && ioctl(tun, TUNSETIFF, &request) != 0) {
        close(tun);
        tun = -1;
    }
    if (tun < 0)
        fprintf(stderr, "wan: no tun device in %s: %s\n", path,
                strerror(errno));
    if (where >= 0)
        close(where);
    return tun;
}

static bool read_table(struct wan *wan, const char *path)
{
    FILE *file = fopen(path, "r");
    size_t n = 0;
    unsigned host;
    double rtt_ms;

    while (file && fscanf(file, " 10.77.0.%u %lf", &host, &rtt_ms) == 2) {
        if (host >= HOSTS)
            break;
        wan->half_us[host] = (int64_t)(rtt_ms * 500);
        n++;
    }
    if (n == 0 || !feof(file)) {
        fprintf(stderr, "wan: %s: expected lines \"10.77.0.N RTT_MS\"\n", path);
        n = 0;
    }
    if (file)
        fclose(file);
    return n > 0;
}

/* Queues all that waits at this end. */
static void receive(struct wan *wan, enum end from)
{
    size_t last = from == CLIENT ? TO_LAST : FROM_LAST;
    unsigned char data[MAX_PACKET];

    for (;;) {
        ssize_t len = read(wan->ends[from].fd, data, sizeof(data));
        struct packet packet = {
            .number = wan->npackets,
            .to = from == CLIENT ? SERVER : CLIENT,
            .len = len > 0 ? (size_t)len : 0,
        };

        if (len <= 0)
            return;
        if (packet.len < IPV4_HEADER || data[0] >> 4 != 4)
            continue;
        packet.due_us = now_us() + wan->half_us[data[last]];
        packet.data = malloc(packet.len);
        if (!packet.data)
            continue;
        memcpy(packet.data, data, packet.len);
        wan->npackets++;
        push(wan, packet);
    }
}

static void deliver_due(struct wan *wan)
{
    int64_t now = now_us();

    while (wan->nqueued > 0 && wan->heap[0].due_us <= now) {
        struct packet packet = pop(wan);

        if (write(wan->ends[packet.to].fd, packet.data, packet.len) < 0 &&
            errno != EIO && errno != EINVAL)
            perror("wan: write");
        free(packet.data);
    }
}

/* Until a packet comes or is due; false: failed. */
static bool wait_for_packet(struct wan *wan)
{
    struct timespec wait = {0};

    if (wan->nqueued > 0) {
        int64_t left = wan->heap[0].due_us - now_us();

        if (left > 0) {
            wait.tv_sec = left / 1000000;
            wait.tv_nsec = left % 1000000 * 1000;
        }
    }
    return ppoll(wan->ends, ENDS, wan->nqueued > 0 ? &wait : NULL, NULL) >= 0 ||
           errno == EINTR;
}

int main(int argc, char **argv)
{
    struct wan wan = {.ends = {{.events = POLLIN}, {.events = POLLIN}}};

    if (argc != 1 + ENDS + 1) {
        fputs("usage: wan CLIENT_NAMESPACE SERVER_NAMESPACE TABLE\n", stderr);
        return 2;
    }
    wan.heap = calloc(MAX_QUEUED, sizeof(*wan.heap));
    if (!wan.heap || !read_table(&wan, argv[1 + ENDS]))
        return 1;
    for (int end = CLIENT; end < ENDS; end++) {
        wan.ends[end].fd = open_end(argv[1 + end]);
        if (wan.ends[end].fd < 0)
            return 1;
    }
    puts("ready");
    fflush(stdout);
    while (wait_for_packet(&wan)) {
        deliver_due(&wan);
        receive(&wan, CLIENT);
        receive(&wan, SERVER);
    }
    perror("wan: poll");
    return 1;
}
