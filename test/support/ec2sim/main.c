/*
 * main.c - ec2sim, a simulated EC2 for tests: see README.md.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "answers.h"
#include "options.h"
#include "server.h"
#include "service.h"
#include "tls.h"

#define PATH_LEN 4096
#define MIB ((size_t)1024 * 1024)

/*
 * Blocks the signals that end the process, in this thread and in those still
 * to come, and returns a descriptor that tells of them; -1: failed.
 */
static int catch_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Returns when a signal came or, with a lease, standard input was closed. */
static void wait_for_end(int signals, bool lease)
{
    struct pollfd fds[] = {
        {.fd = signals, .events = POLLIN},
        {.fd = lease ? STDIN_FILENO : -1, .events = POLLIN},
    };
    char waste[256];

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        if (fds[0].revents)
            return;
        if (fds[1].revents && read(STDIN_FILENO, waste, sizeof(waste)) <= 0)
            return;
    }
}

static bool add_faults(struct faults *faults, const struct options *options)
{
    for (size_t i = 0; i < options->faults.n; i++) {
        if (!faults_add(faults, options->faults.v[i])) {
            fprintf(stderr, "ec2sim: --fault: not understood: %s\n",
                    options->faults.v[i]);
            return false;
        }
    }
    return true;
}

/* Serves until told to end; false after a message. */
static bool serve(struct service *service, const struct options *options,
                  const char *ca_path)
{
    struct server_options server_options = {
        .listen = options->listen,
        .port = options->port,
        .threads = options->threads,
        .plain = options->plain,
        .close_each = options->h_close,
    };
    int signals = catch_signals();
    struct server *server;

    if (signals < 0) {
        fputs("ec2sim: cannot catch signals\n", stderr);
        return false;
    }
    if (options->warm)
        pages_warm(service->pages);
    server = server_start(service, &server_options);
    if (server) {
        printf("ec2sim ready port=%d ca=%s\n", server_port(server), ca_path);
        fflush(stdout);
        wait_for_end(signals, options->stdin_lease);
    }
    server_stop(server);
    close(signals);
    return server != NULL;
}

static bool run(const struct world *world, const struct options *options)
{
    struct auth_options auth = {
        .off = options->no_auth,
        .key_id = options->key,
        .secret = options->secret,
        .token = options->token,
    };
    struct service service = {
        .world = world,
        .auth = &auth,
        .no_gzip = options->no_gzip,
        .pages = pages_new(world, (size_t)options->cache_mb * MIB),
        .faults = faults_new(),
        .stats = stats_new(world),
    };
    char ca_path[PATH_LEN] = "-";
    struct tls *tls = NULL;
    bool ok = add_faults(service.faults, options);

    if (ok && !options->plain) {
        if (options->dir) {
            mkdir(options->dir, 0777); /* that it exists already is fine */
            snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", options->dir);
            tls = tls_new(world, service.stats, options->rsa, ca_path);
        } else {
            fputs("ec2sim: --dir is needed, or --plain\n", stderr);
        }
        ok = tls != NULL;
    }
    ok = ok && serve(&service, options, ca_path);
    tls_free(tls);
    stats_free(service.stats);
    faults_free(service.faults);
    pages_free(service.pages);
    return ok;
}

int main(int argc, char **argv)
{
    struct options options;
    struct world world = {0};
    bool ok = options_parse(argc, argv, &options);

    if (ok && options.help) {
        options_help();
    } else if (ok) {
        ok = options_world(&options, &world);
        if (ok && options.print_answers)
            ok = answers_print(&world, options.print_answers, &options.asked);
        else if (ok)
            ok = run(&world, &options);
    }
    world_release(&world);
    options_release(&options);
    return ok ? EXIT_SUCCESS : 2;
}
