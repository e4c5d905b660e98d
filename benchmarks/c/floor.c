/*
 * The floor: only what any server must do to write an event to each of its clients.
 * One thread, one epoll, one send() per client and event.
 *
 *   GET /events                  an event stream, with a first event
 *   GET /publish?n=20&pause=100  n events, one every 100 ms
 *   GET /ping                    ok
 *
 * An event's data begins with a mark and the time when it was due.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 65536 };

static int clients[MOST], count;
static char frame[1 << 17];
static int size;

/* Write an event into the frame, with as many digits as its data has. */
static void make_frame(int64_t due, int digits)
{
    static char body[1 << 16];
    int length = snprintf(body, sizeof body, "id: abcdef-gh1234567\ndata: @%019ld%0*d\n\n",
        (long)due, digits - 20, 0);
    size = snprintf(frame, sizeof frame, "%x\r\n%s\r\n", length, body);
}

static void publish(int n, int pause, int digits)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    int64_t due = time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
    for (int event = 0; event < n; event++, due += pause * INT64_C(1000000)) {
        time.tv_sec = due / 1000000000;
        time.tv_nsec = due % 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, 0);
        make_frame(due, digits);
        for (int at = 0; at < count; at++)
            if (send(clients[at], frame, size, MSG_NOSIGNAL | MSG_DONTWAIT) != size)
                fprintf(stderr, "a client did not take an event\n");
    }
}

static void answer(int fd, const char *request, int digits)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
        "Transfer-Encoding: chunked\r\n\r\n12\r\ndata: ready\n\n:    \n\r\n";
    static const char done[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    int n = 0, pause = 0;
    if (!strncmp(request, "GET /events", 11)) {
        clients[count++] = fd;
        send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
        return;
    }
    sscanf(request, "GET /publish?n=%d&pause=%d", &n, &pause);
    publish(n, pause, digits);
    send(fd, done, sizeof done - 1, MSG_NOSIGNAL);
    close(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    struct epoll_event event = {.events = EPOLLIN}, events[256];
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
    char request[4096];

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
        return 1;
    event.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int at = 0; at < ready; at++) {
            int fd = events[at].data.fd;
            if (fd == listener) {
                fd = accept(listener, 0, 0);
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.fd = fd;
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
                continue;
            }
            int got = recv(fd, request, sizeof request - 1, 0);
            if (got <= 0) {
                for (int client = 0; client < count; client++)
                    if (clients[client] == fd)
                        clients[client--] = clients[--count];
                close(fd);
                continue;
            }
            request[got] = 0;
            answer(fd, request, atoi(argv[2]));
        }
    }
}
