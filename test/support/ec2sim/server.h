/*
 * server.h - the simulator on a port, by libmicrohttpd.
 */
#ifndef EC2SIM_SERVER_H
#define EC2SIM_SERVER_H

#include <stdbool.h>

#include "service.h"

struct server_options {
    const char *listen; /* an IPv4 address */
    long port;          /* 0: any */
    long threads;
    bool plain;      /* http */
    bool close_each; /* one answer a connection */
};

struct server;

/* NULL after a message on standard error. service is borrowed. */
struct server *server_start(struct service *service,
                            const struct server_options *options);
int server_port(const struct server *server);

/* Closes all connections; NULL is fine. */
void server_stop(struct server *server);

#endif
