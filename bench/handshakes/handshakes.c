/*
 * handshakes.c - what TLS handshakes cost a client that does nothing else.
 *
 *   handshakes PORT CA.pem N HOST...
 *
 * opens N connections to each host, all on that port of the loopback, one after
 * the other: TCP, a full handshake, the chain held against the roots in CA.pem
 * and the name against the host. Prints how many there were and their CPU:
 * "COUNT MICROSECONDS". Roots and context are made once and not counted.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

static void fail(const char *what)
{
    (void)fprintf(stderr, "handshakes: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(EXIT_FAILURE);
}

static long number(const char *text, long max)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (*end || n < 1 || n > max)
        fail("a number is none, or out of bounds");
    return n;
}

static int connect_to(long port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        fail("no connection");
    return fd;
}

/* host is not const, for the library has a macro that casts it. */
static void shake_hands(SSL_CTX *ctx, long port, char *host)
{
    int fd = connect_to(port);
    SSL *ssl = SSL_new(ctx);

    if (!ssl || SSL_set_tlsext_host_name(ssl, host) != 1 ||
        SSL_set1_host(ssl, host) != 1 || SSL_set_fd(ssl, fd) != 1)
        fail("no TLS");
    if (SSL_connect(ssl) != 1)
        fail("the handshake failed");
    SSL_free(ssl);
    (void)close(fd);
}

static long cpu_us(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage))
        fail("no getrusage");
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    long count = 0;
    long before;

    if (argc < 5)
        fail("expected PORT CA.pem N HOST...");
    if (!ctx || SSL_CTX_load_verify_locations(ctx, argv[2], NULL) != 1)
        fail("no roots");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    before = cpu_us();
    for (long n = number(argv[3], 1000); n > 0; n--) {
        for (int i = 4; i < argc; i++, count++)
            shake_hands(ctx, number(argv[1], 65535), argv[i]);
    }
    (void)printf("%ld %ld\n", count, cpu_us() - before);
    SSL_CTX_free(ctx);
    return EXIT_SUCCESS;
}
