#include "net/http.h"

#include <string.h>
#include <time.h>

#include <curl/curl.h>

/* The longest form, RFC 850's, has 33 characters. */
#define DATE_MAX 64
/* 9999-12-31T23:59:59Z: years have four digits, but libcurl reads more. */
#define LAST_S INT64_C(253402300799)

bool http_date_ms(struct span text, int64_t *out)
{
    char date[DATE_MAX + 1];
    time_t seconds;

    text = span_trim(text);
    if (text.len == 0 || text.len > DATE_MAX || memchr(text.p, '\0', text.len))
        return false;
    memcpy(date, text.p, text.len);
    date[text.len] = '\0';
    seconds = curl_getdate(date, NULL);
    if (seconds < 0 || seconds > LAST_S)
        return false;
    *out = (int64_t)seconds * 1000;
    return true;
}
