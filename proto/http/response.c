#include "proto/http/response.h"

static const struct {
	unsigned status;
	const char *text;
} statuses[] = {
	{100, "Continue"}, {200, "OK"}, {201, "Created"}, {202, "Accepted"},
	{204, "No Content"}, {400, "Bad Request"}, {401, "Unauthorized"},
	{403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
	{408, "Request Timeout"}, {409, "Conflict"},
	{413, "Content Too Large"}, {415, "Unsupported Media Type"},
	{417, "Expectation Failed"}, {422, "Unprocessable Content"},
	{429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"}, {501, "Not Implemented"},
	{502, "Bad Gateway"}, {503, "Service Unavailable"},
	{504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"},
	{507, "Insufficient Storage"},
};

const char *
http_status_text(unsigned status)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].status == status)
			return statuses[i].text;
	return status < 400 ? "OK" : "Error";
}

void
http_put_head(struct buf *out, const struct http_response *r)
{
	buf_addf(out, "HTTP/1.1 %u %s\r\n", r->status,
	    http_status_text(r->status));
	if (r->content_type != NULL) {
		buf_addf(out, "Content-Type: %s\r\n", r->content_type);
		if (r->length == HTTP_CHUNKED)
			buf_add_str(out, "Transfer-Encoding: chunked\r\n");
		else
			buf_addf(out, "Content-Length: %zu\r\n", r->length);
	}
	if (r->allow != NULL)
		buf_addf(out, "Allow: %s\r\n", r->allow);
	if (r->status != 100)
		buf_addf(out, "Cache-Control: no-store\r\n"
		    "X-Content-Type-Options: nosniff\r\n%s",
		    r->closes ? "Connection: close\r\n" : "");
	buf_add_str(out, "\r\n");
}

void
http_put_chunk(struct buf *out, struct slice data)
{
	buf_addf(out, "%zx\r\n", data.len);
	buf_add_slice(out, data);
	buf_add_str(out, "\r\n");
}

void
http_put_last_chunk(struct buf *out)
{
	buf_add_str(out, "0\r\n\r\n");
}
