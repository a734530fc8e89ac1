/*
 * The device: a small state machine, from act 1 of the handshake to shares. Spec: 3.5, 4.5, 5.3.
 */
#include "device.h"

#include <string.h>

enum {
    REQUEST_ID = 1
};

/* ---- The connection ---------------------------------------------------------------------------*/

/* Forgets the connection with all its secrets. */
static device_result lose(device *d, device_why why)
{
    d->state = DEVICE_OFFLINE;
    d->why = why;
    sv2_noise_wipe(&d->noise, sizeof(d->noise));
    sv2_noise_wipe(d->in, sizeof(d->in));
    sv2_noise_wipe(d->out, sizeof(d->out));
    memset(&d->work, 0, sizeof(d->work));
    memset(d->future, 0, sizeof(d->future));
    d->has_prev_hash = false;
    return DEVICE_LOST;
}

static device_result lose_by(device *d, sv2_status status)
{
    d->status = status;
    return lose(d, DEVICE_WHY_LIBRARY);
}

void device_init(device *d, const device_config *config, const device_socket *socket,
                 const sv2_noise_provider *crypto)
{
    size_t len = sv2_str(config->host).len;
    memset(d, 0, sizeof(*d));
    d->config = config;
    d->socket = socket;
    d->crypto = crypto;
    d->port = config->port;
    memcpy(d->host, config->host, len < DEVICE_HOST_MAX ? len : DEVICE_HOST_MAX);
}

static device_result connect_to_pool(device *d, uint32_t now)
{
    sv2_status status = sv2_noise_initiate(&d->noise.initiator, d->out, d->crypto);
    d->why = DEVICE_WHY_NONE;
    d->status = SV2_OK;
    d->since = d->heard = now;
    d->act_at = 0;
    if (status != SV2_OK)
        return lose_by(d, status);
    if (!d->socket->connect(d->socket->context, d->host, d->port)
        || !d->socket->send(d->socket->context, d->out, SV2_NOISE_ACT_1_LEN))
        return lose(d, DEVICE_WHY_CONNECT);
    d->stats.connections++;
    d->state = DEVICE_HANDSHAKE;
    return DEVICE_BUSY;
}

/* ---- Sending ----------------------------------------------------------------------------------*/

/* Sends the plain frame of len bytes that lies in out, if status says that one does. */
static device_result send_frame(device *d, sv2_status status, size_t len)
{
    if (status == SV2_OK)
        status = sv2_noise_seal(&d->noise.session.sender, d->out, sizeof(d->out), &len);
    if (status != SV2_OK)
        return lose_by(d, status);
    return d->socket->send(d->socket->context, d->out, len) ? DEVICE_BUSY
                                                            : lose(d, DEVICE_WHY_CLOSED);
}

static device_result send_setup(device *d)
{
    const device_config *c = d->config;
    sv2_setup_connection message;
    sv2_status status;
    size_t len;
    message.protocol = SV2_PROTOCOL_MINING;
    message.min_version = message.max_version = SV2_PROTOCOL_VERSION;
    message.flags = SV2_MINING_REQUIRES_STANDARD_JOBS;
    message.endpoint_host = sv2_str(d->host);
    message.endpoint_port = d->port;
    message.vendor = sv2_str(c->vendor);
    message.hardware_version = sv2_str(c->hardware_version);
    message.firmware = sv2_str(c->firmware);
    message.device_id = sv2_str(c->device_id);
    d->state = DEVICE_SETUP;
    status = sv2_setup_connection_encode_frame(d->out, sizeof(d->out), &len, &message);
    return send_frame(d, status, len);
}

static device_result send_open(device *d)
{
    sv2_open_standard_mining_channel message;
    sv2_status status;
    size_t len;
    message.request_id = REQUEST_ID;
    message.user_identity = sv2_str(d->config->user_identity);
    message.nominal_hash_rate = d->config->hash_rate;
    memset(message.max_target, 0xff, sizeof(message.max_target));
    d->state = DEVICE_OPENING;
    status = sv2_open_standard_mining_channel_encode_frame(d->out, sizeof(d->out), &len, &message);
    return send_frame(d, status, len);
}

static device_result send_share(device *d, uint32_t nonce, uint32_t ntime)
{
    sv2_submit_shares_standard message;
    sv2_status status;
    size_t len;
    message.channel_id = d->channel_id;
    message.sequence_number = d->sequence++;
    message.job_id = d->work.job_id;
    message.nonce = nonce;
    message.ntime = ntime;
    message.version = d->work.version;
    d->stats.submitted++;
    status = sv2_submit_shares_standard_encode_frame(d->out, sizeof(d->out), &len, &message);
    return send_frame(d, status, len);
}

/* ---- Messages ---------------------------------------------------------------------------------*/

static bool is_ours(const device *d, uint32_t channel_id)
{
    return d->state == DEVICE_MINING && (channel_id == d->channel_id || channel_id == d->group_id);
}

static void start_job(device *d, const device_job *job, uint32_t ntime)
{
    hasher_start(&d->work, job->id, job->version, d->prev_hash, job->merkle_root, ntime, d->nbits);
    memcpy(d->work.target, d->target, sizeof(d->target));
    d->stats.jobs++;
}

static device_result on_channel(device *d, const sv2_open_standard_mining_channel_success *message)
{
    if (d->state != DEVICE_OPENING || message->request_id != REQUEST_ID)
        return lose(d, DEVICE_WHY_UNEXPECTED);
    d->state = DEVICE_MINING;
    d->channel_id = message->channel_id;
    d->group_id = message->group_channel_id;
    d->sequence = 0;
    memcpy(d->target, message->target, sizeof(d->target));
    return DEVICE_BUSY;
}

/* A job for now, or one that waits for its SetNewPrevHash. */
static device_result on_job(device *d, const sv2_new_mining_job *message)
{
    device_job *job;
    if (!is_ours(d, message->channel_id) || (message->min_ntime.present && !d->has_prev_hash)) {
        d->stats.ignored++;
        return DEVICE_BUSY;
    }
    job = &d->future[d->next_future];
    d->next_future = (uint8_t)((d->next_future + 1) % DEVICE_FUTURE_JOBS);
    job->id = message->job_id;
    job->version = message->version;
    job->present = !message->min_ntime.present;
    memcpy(job->merkle_root, message->merkle_root, sizeof(job->merkle_root));
    if (message->min_ntime.present)
        start_job(d, job, message->min_ntime.value);
    return DEVICE_BUSY;
}

/* All other jobs were for the old tip, and end with it; future ones too (spec 5.3.17). */
static device_result on_prev_hash(device *d, const sv2_mining_set_new_prev_hash *message)
{
    device_job *found = NULL;
    unsigned i;
    if (!is_ours(d, message->channel_id)) {
        d->stats.ignored++;
        return DEVICE_BUSY;
    }
    memcpy(d->prev_hash, message->prev_hash, sizeof(d->prev_hash));
    d->nbits = message->nbits;
    d->has_prev_hash = true;
    d->work.ready = false;
    for (i = 0; i < DEVICE_FUTURE_JOBS; i++)
        if (d->future[i].present && d->future[i].id == message->job_id)
            found = &d->future[i];
    if (found == NULL)
        d->stats.ignored++;
    else
        start_job(d, found, message->min_ntime);
    memset(d->future, 0, sizeof(d->future));
    return DEVICE_BUSY;
}

/* The target of the job under way is not touched (spec 5.3.21). */
static device_result on_target(device *d, const sv2_set_target *message)
{
    if (!is_ours(d, message->channel_id)) {
        d->stats.ignored++;
        return DEVICE_BUSY;
    }
    memcpy(d->target, message->maximum_target, sizeof(d->target));
    return DEVICE_BUSY;
}

/* The pool may name another host; its certificate has to be by the same authority. */
static device_result on_reconnect(device *d, const sv2_reconnect *message)
{
    size_t i;
    if (message->new_host.len > DEVICE_HOST_MAX)
        return lose(d, DEVICE_WHY_UNEXPECTED);
    for (i = 0; i < message->new_host.len; i++)
        if (message->new_host.data[i] <= ' ' || message->new_host.data[i] >= 0x7f)
            return lose(d, DEVICE_WHY_UNEXPECTED);
    if (message->new_host.len != 0) {
        memset(d->host, 0, sizeof(d->host));
        memcpy(d->host, message->new_host.data, message->new_host.len);
    }
    if (message->new_port != 0)
        d->port = message->new_port;
    return lose(d, DEVICE_WHY_RECONNECT);
}

static device_result on_close(device *d, const sv2_close_channel *message)
{
    if (!is_ours(d, message->channel_id)) {
        d->stats.ignored++;
        return DEVICE_BUSY;
    }
    return lose(d, DEVICE_WHY_REFUSED);
}

/* Decodes into the member of this name, and goes on where that worked. */
#define DECODED(name)                                                                              \
    ((d->status = sv2_##name##_decode(&m.name, NULL, frame->payload, frame->length)) == SV2_OK)

/* A message that is malformed ends the connection; one that a device has no use for does not. */
static device_result on_frame(device *d, const sv2_frame *frame)
{
    union {
        sv2_setup_connection_success setup_connection_success;
        sv2_open_standard_mining_channel_success open_standard_mining_channel_success;
        sv2_new_mining_job new_mining_job;
        sv2_mining_set_new_prev_hash mining_set_new_prev_hash;
        sv2_set_target set_target;
        sv2_submit_shares_success submit_shares_success;
        sv2_reconnect reconnect;
        sv2_close_channel close_channel;
    } m;
    switch ((uint32_t)(frame->extension_type & ~SV2_CHANNEL_BIT) << 8 | frame->message_type) {
    case SV2_ID_SETUP_CONNECTION_SUCCESS:
        if (!DECODED(setup_connection_success))
            break;
        return d->state == DEVICE_SETUP ? send_open(d) : lose(d, DEVICE_WHY_UNEXPECTED);
    case SV2_ID_SETUP_CONNECTION_ERROR:
    case SV2_ID_OPEN_MINING_CHANNEL_ERROR:
        return lose(d, DEVICE_WHY_REFUSED);
    case SV2_ID_OPEN_STANDARD_MINING_CHANNEL_SUCCESS:
        if (!DECODED(open_standard_mining_channel_success))
            break;
        return on_channel(d, &m.open_standard_mining_channel_success);
    case SV2_ID_NEW_MINING_JOB:
        if (!DECODED(new_mining_job))
            break;
        return on_job(d, &m.new_mining_job);
    case SV2_ID_MINING_SET_NEW_PREV_HASH:
        if (!DECODED(mining_set_new_prev_hash))
            break;
        return on_prev_hash(d, &m.mining_set_new_prev_hash);
    case SV2_ID_SET_TARGET:
        if (!DECODED(set_target))
            break;
        return on_target(d, &m.set_target);
    case SV2_ID_SUBMIT_SHARES_SUCCESS:
        if (!DECODED(submit_shares_success))
            break;
        d->stats.accepted += m.submit_shares_success.new_submits_accepted_count;
        return DEVICE_BUSY;
    case SV2_ID_SUBMIT_SHARES_ERROR:
        d->stats.refused++;
        return DEVICE_BUSY;
    case SV2_ID_RECONNECT:
        if (!DECODED(reconnect))
            break;
        return on_reconnect(d, &m.reconnect);
    case SV2_ID_CLOSE_CHANNEL:
        if (!DECODED(close_channel))
            break;
        return on_close(d, &m.close_channel);
    default:
        d->stats.ignored++;
        return DEVICE_BUSY;
    }
    return lose(d, DEVICE_WHY_LIBRARY);
}

/* ---- Receiving --------------------------------------------------------------------------------*/

/* The session takes the place of the initiator in memory: of that, finish gets a copy, and wipes it. */
static device_result finish_handshake(device *d)
{
    sv2_noise_initiator initiator = d->noise.initiator;
    sv2_status status = sv2_noise_finish(&initiator, &d->noise.session.sender,
                                         &d->noise.session.receiver, NULL, NULL, d->in,
                                         &d->config->policy);
    if (status != SV2_OK)
        return lose_by(d, status);
    sv2_noise_reader_init(&d->noise.session.reader, &d->noise.session.receiver, d->in,
                          sizeof(d->in), DEVICE_PAYLOAD_MAX);
    return send_setup(d);
}

/* Act 2 collects where frames will later. */
static device_result shake_hands(device *d)
{
    int n =
        d->socket->receive(d->socket->context, d->in + d->act_at, SV2_NOISE_ACT_2_LEN - d->act_at);
    if (n <= 0)
        return n < 0 ? lose(d, DEVICE_WHY_CLOSED) : DEVICE_IDLE;
    d->act_at += (uint32_t)n;
    return d->act_at < SV2_NOISE_ACT_2_LEN ? DEVICE_BUSY : finish_handshake(d);
}

/* Takes what the socket has for the piece under way, at most: no byte is copied. */
static device_result receive(device *d, uint32_t now)
{
    sv2_noise_reader *reader = &d->noise.session.reader;
    sv2_frame frame;
    sv2_status status;
    uint8_t *at;
    size_t room;
    int n;
    status = sv2_noise_reader_window(reader, &at, &room);
    if (status != SV2_OK)
        return lose_by(d, status);
    n = d->socket->receive(d->socket->context, at, room);
    if (n <= 0)
        return n < 0 ? lose(d, DEVICE_WHY_CLOSED) : DEVICE_IDLE;
    status = sv2_noise_reader_taken(reader, &frame, (size_t)n);
    if (status == SV2_NEED_MORE)
        return DEVICE_BUSY;
    d->heard = now;
    if (status == SV2_OK)
        return on_frame(d, &frame);
    if (status != SV2_ERR_FRAME_LARGE)
        return lose_by(d, status);
    d->stats.skipped++;
    sv2_noise_reader_skip(reader);
    return DEVICE_BUSY;
}

static device_result work(device *d, uint32_t nonces)
{
    uint32_t nonce, ntime;
    if (!d->work.ready)
        return DEVICE_IDLE;
    return hasher_run(&d->work, nonces, &nonce, &ntime) ? send_share(d, nonce, ntime) : DEVICE_BUSY;
}

device_result device_step(device *d, uint32_t now, uint32_t nonces)
{
    device_result result;
    if (d->state == DEVICE_OFFLINE)
        return connect_to_pool(d, now);
    if (d->state != DEVICE_MINING ? now - d->since > DEVICE_SETUP_SECONDS
                                  : now - d->heard > DEVICE_SILENCE_SECONDS)
        return lose(d, DEVICE_WHY_SILENCE);
    result = d->state == DEVICE_HANDSHAKE ? shake_hands(d) : receive(d, now);
    return result == DEVICE_IDLE ? work(d, nonces) : result;
}
