//! What librdkafka can and rdkafka cannot: a topic's id, the end beyond what is decided, a position
//! without a detour through another thread, headers whose names are not UTF-8. The only unsafe code;
//! each function owns what it allocates, and copies what it returns.

#![allow(unsafe_code, reason = "rdkafka has no safe call for any of this")]

use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use backbone::{LogError, Partition, TopicInfo};
use bytes::Bytes;
use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};

use crate::error::{general, is_absence, of_code};

/// Something of librdkafka's, with its destructor.
struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    fn new(made: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Result<Self, LogError> {
        let nothing = || LogError::Transient("librdkafka gave nothing".to_owned());
        Ok(Self(NonNull::new(made).ok_or_else(nothing)?, destroy))
    }

    fn ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: it was made by librdkafka for this destructor, and nobody else has it.
        unsafe { (self.1)(self.ptr()) }
    }
}

/// The topic as the cluster knows it; `None` if there is none. Blocks for at most `ms`.
pub(crate) fn describe<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    ms: u64,
) -> Result<Option<TopicInfo>, LogError> {
    // No topic's name has a zero in it, or is empty.
    let Some(name) = CString::new(name).ok().filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let rk = client.native_ptr();
    let ms = i32::try_from(ms).unwrap_or(i32::MAX);
    // SAFETY: `rk` lives as long as `client`; every pointer that is passed is alive during the
    // call; the result is read before its event is destroyed.
    unsafe {
        let mut names = [name.as_ptr()];
        let topics = c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
        let topics = Owned::new(topics, c::rd_kafka_TopicCollection_destroy)?;
        let api = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = options(rk, api, ms)?;
        let queue = Owned::new(c::rd_kafka_queue_new(rk), c::rd_kafka_queue_destroy)?;
        c::rd_kafka_DescribeTopics(rk, topics.ptr(), options.ptr(), queue.ptr());
        let event = answer(&queue, ms)?;
        let result = c::rd_kafka_event_DescribeTopics_result(event.ptr());
        let mut count = 0;
        let described = c::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if described.is_null() || count == 0 {
            return Err(late());
        }
        described_topic(*described)
    }
}

/// The offset after a partition's last record, whether its fate is decided or not: the only question
/// that is asked as a reader of uncommitted records. Blocks for at most `ms`.
pub(crate) fn end<C: ClientContext>(
    client: &Client<C>,
    partition: &Partition,
    ms: u64,
) -> Result<u64, LogError> {
    let mut of = TopicPartitionList::with_capacity(1);
    of.add_partition_offset(&partition.topic, partition.index as i32, Offset::End)
        .map_err(|error| general(&error))?;
    let rk = client.native_ptr();
    let ms = i32::try_from(ms).unwrap_or(i32::MAX);
    // SAFETY: as in `describe`.
    unsafe {
        let api = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS;
        let options = options(rk, api, ms)?;
        let all = c::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED;
        let refused = c::rd_kafka_AdminOptions_set_isolation_level(options.ptr(), all);
        if let Some(refused) = NonNull::new(refused) {
            drop(Owned(refused, c::rd_kafka_error_destroy));
            return Err(LogError::Fatal("librdkafka knows no isolation level".to_owned()));
        }
        let queue = Owned::new(c::rd_kafka_queue_new(rk), c::rd_kafka_queue_destroy)?;
        c::rd_kafka_ListOffsets(rk, of.ptr(), options.ptr(), queue.ptr());
        let event = answer(&queue, ms)?;
        let result = c::rd_kafka_event_ListOffsets_result(event.ptr());
        let mut count = 0;
        let infos = c::rd_kafka_ListOffsets_result_infos(result, &mut count);
        if infos.is_null() || count == 0 {
            return Err(late());
        }
        let found = &*c::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos);
        match Code::from(found.err) {
            Code::NoError => Ok(found.offset.max(0) as u64),
            code if is_absence(code) => Err(LogError::NoSuchPartition(partition.clone())),
            code => Err(of_code(code, format!("the end of {partition}: {code}"))),
        }
    }
}

fn late() -> LogError {
    LogError::Transient("the cluster did not answer in time".to_owned())
}

/// # Safety
/// `rk` is alive.
unsafe fn options(
    rk: *mut c::rd_kafka_t,
    api: c::rd_kafka_admin_op_t,
    ms: i32,
) -> Result<Owned<c::rd_kafka_AdminOptions_t>, LogError> {
    let mut why: [c_char; 512] = [0; 512];
    // SAFETY: see above; the options are made here.
    unsafe {
        let options = c::rd_kafka_AdminOptions_new(rk, api);
        let options = Owned::new(options, c::rd_kafka_AdminOptions_destroy)?;
        let (text, size) = (why.as_mut_ptr(), why.len());
        c::rd_kafka_AdminOptions_set_request_timeout(options.ptr(), ms, text, size);
        Ok(options)
    }
}

/// The event that answers a question whose queue this is, unless that is an error.
fn answer(
    queue: &Owned<c::rd_kafka_queue_t>,
    ms: i32,
) -> Result<Owned<c::rd_kafka_event_t>, LogError> {
    // SAFETY: the queue is alive, and the event is this function's; its text is copied.
    unsafe {
        let event = c::rd_kafka_queue_poll(queue.ptr(), ms.saturating_add(1_000));
        let event = Owned(NonNull::new(event).ok_or_else(late)?, c::rd_kafka_event_destroy);
        let error: Code = c::rd_kafka_event_error(event.ptr()).into();
        if error != Code::NoError {
            let text = CStr::from_ptr(c::rd_kafka_event_error_string(event.ptr()));
            return Err(of_code(error, text.to_string_lossy().into_owned()));
        }
        Ok(event)
    }
}

/// # Safety
/// `topic` belongs to a result that is alive.
unsafe fn described_topic(
    topic: *const c::rd_kafka_TopicDescription_t,
) -> Result<Option<TopicInfo>, LogError> {
    // SAFETY: see above; the functions only read.
    unsafe {
        let error = c::rd_kafka_TopicDescription_error(topic);
        let code: Code = c::rd_kafka_error_code(error).into();
        if is_absence(code) {
            return Ok(None);
        }
        if code != Code::NoError {
            let text = CStr::from_ptr(c::rd_kafka_error_string(error));
            return Err(of_code(code, text.to_string_lossy().into_owned()));
        }
        let mut partitions = 0;
        c::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
        let uuid = c::rd_kafka_TopicDescription_topic_id(topic);
        let high = c::rd_kafka_Uuid_most_significant_bits(uuid) as u64;
        let low = c::rd_kafka_Uuid_least_significant_bits(uuid) as u64;
        let id = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        Ok(Some(TopicInfo { id, partitions: u32::try_from(partitions).unwrap_or(u32::MAX) }))
    }
}

/// Sets each partition's offset to that after what this client has been given of it, markers of
/// transactions among it. Asks nobody.
pub(crate) fn positions<C: ClientContext>(client: &Client<C>, of: &mut TopicPartitionList) {
    // SAFETY: both are alive, and the list is only borrowed by the call.
    unsafe { c::rd_kafka_position(client.native_ptr(), of.ptr()) };
}

/// A record's headers. rdkafka's own reader panics at a name that is not UTF-8; here it is mended.
pub(crate) fn headers(message: &BorrowedMessage<'_>) -> Vec<(Arc<str>, Bytes)> {
    let mut found = Vec::new();
    let mut headers = ptr::null_mut();
    // SAFETY: the message is alive, and so are its headers, which are copied here.
    unsafe {
        let error: Code = c::rd_kafka_message_headers(message.ptr(), &mut headers).into();
        if error != Code::NoError {
            return found;
        }
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        for index in 0.. {
            let error: Code =
                c::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size).into();
            if error != Code::NoError {
                break;
            }
            let value = match NonNull::new(value.cast_mut()) {
                Some(value) => slice::from_raw_parts(value.as_ptr().cast::<u8>(), size),
                None => &[],
            };
            let name = CStr::from_ptr(name).to_string_lossy();
            found.push((Arc::from(name), Bytes::copy_from_slice(value)));
        }
    }
    found
}
