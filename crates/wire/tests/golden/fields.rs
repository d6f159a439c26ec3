//! The fields of a message as JSON, written out by hand so that the names and their order do not
//! come from the code under test.

use gelato_wire::msg::ChunkCodec;
use gelato_wire::{ByteString, Environment, Message};
use serde_json::{Value, json};

trait Json {
    fn json(&self) -> Value;
}

impl Json for u32 {
    fn json(&self) -> Value {
        json!(self)
    }
}

impl Json for i32 {
    fn json(&self) -> Value {
        json!(self)
    }
}

impl Json for bool {
    fn json(&self) -> Value {
        json!(self)
    }
}

impl Json for ByteString {
    fn json(&self) -> Value {
        match std::str::from_utf8(self.as_bytes()) {
            Ok(text) => json!(text),
            Err(_) => json!(self.as_bytes()),
        }
    }
}

impl Json for Environment {
    fn json(&self) -> Value {
        json!([self.platform.json(), self.name.json()])
    }
}

impl<T: Json> Json for Vec<T> {
    fn json(&self) -> Value {
        self.iter().map(Json::json).collect()
    }
}

macro_rules! list {
    ($message:ident: $($field:ident)*) => { vec![$((stringify!($field), $message.$field.json())),*] };
}

pub(crate) fn fields(message: &Message) -> Vec<(&'static str, Value)> {
    match message {
        Message::Ping | Message::End | Message::MonLogin | Message::GetInternals => vec![],
        Message::GetNativeEnv(m) => list!(m: compiler extra_files compression),
        Message::NativeEnv(m) => list!(m: path),
        Message::GetCs(m) => {
            list!(m: environments filename language count target arg_flags client_id preferred_host
            ignore_unverified minimal_host_version client_count required_features niceness)
        }
        Message::UseCs(m) => {
            list!(m: job_id port hostname host_platform got_env client_id matched_job_id)
        }
        Message::CompileFile(m) => {
            list!(m: language job_id args remote_args rest_args environment target compiler_name
            input_file working_directory output_file dwarf_fission)
        }
        Message::FileChunk(m) => vec![
            ("uncompressed_len", json!(m.uncompressed_len)),
            ("compressed_len", json!(m.data.len())),
            (
                "compression",
                json!(match m.codec {
                    ChunkCodec::Lzo => 0,
                    ChunkCodec::Zstd => 1,
                }),
            ),
        ],
        Message::CompileResult(m) => list!(m: stderr stdout status out_of_memory have_dwo),
        Message::JobBegin(m) => list!(m: job_id start_time client_count),
        Message::JobDone(m) | Message::MonJobDone(m) => {
            list!(m: job_id exitcode real_msec user_msec sys_msec page_faults
            in_compressed in_uncompressed out_compressed out_uncompressed flags client_count)
        }
        Message::JobLocalBegin(m) => list!(m: start_time outfile id full_job),
        Message::JobLocalDone(m) => list!(m: job_id),
        Message::Login(m) => {
            list!(m: port max_kids environments nodename host_platform chroot_possible noremote
            supported_features)
        }
        Message::Stats(m) => list!(m: load load_avg_1 load_avg_5 load_avg_10 free_mem),
        Message::MonGetCs(m) => {
            list!(m: environments filename language count target arg_flags client_id preferred_host
            job_id host_id)
        }
        Message::MonJobBegin(m) => list!(m: job_id start_time host_id),
        Message::MonLocalJobBegin(m) => list!(m: host_id job_id start_time file),
        Message::MonStats(m) => list!(m: host_id statmsg),
        Message::TransferEnv(m) => list!(m: name target),
        Message::StatusText(m) => list!(m: text),
        Message::CsConf(m) => list!(m: max_scheduler_pong max_scheduler_ping bench_source),
        Message::VerifyEnv(m) => list!(m: environment target),
        Message::VerifyEnvResult(m) => list!(m: ok),
        Message::BlacklistHostEnv(m) => list!(m: environment target hostname),
        Message::NoCs(m) => list!(m: job_id client_id),
        Message::Ask(m) => list!(m: request),
        Message::Answer(m) => list!(m: text),
        Message::NodeNote(m) => list!(m: text),
        Message::JobRecords(m) => list!(m: text),
        Message::MonNews(m) => list!(m: text),
    }
}

/// Whether a field has the value it must have where it is not on the wire.
pub(crate) fn is_default(value: &Value) -> bool {
    match value {
        Value::Number(n) => n.as_u64() == Some(0),
        Value::Bool(b) => !b,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        _ => false,
    }
}
