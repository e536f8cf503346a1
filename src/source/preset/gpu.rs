//! GPU exporters: NVIDIA's dcgm-exporter and AMD's device-metrics-exporter.
//!
//! Read in the exporters' code. `GPU_UTIL` and `MEM_COPY_UTIL` are percent and do not exist on MIG
//! instances, where the profiling families (0..1) stand in. Framebuffer is MiB, and its total is
//! free + used + reserved. AMD's memory is MB. Node names are `Hostname` or `hostname`: not joined on.

use crate::engine::observation::Role;
use crate::source::preset::table::{Family, Preset};

const MEBIBYTE: f64 = 1_048_576.0;
const MEGABYTE: f64 = 1_000_000.0;
const PERCENT: f64 = 0.01;

/// The preset.
pub(crate) const PRESET: Preset = Preset {
    families: &[
        Family::mean(Role::GpuUtilization, &["DCGM_FI_DEV_GPU_UTIL"]).times(PERCENT),
        Family::mean(Role::GpuUtilization, &["DCGM_FI_PROF_GR_ENGINE_ACTIVE"]),
        Family::mean(Role::GpuUtilization, &["gpu_gfx_activity", "gpu_usage"]).times(PERCENT),
        Family::sum(Role::GpuMemoryUsed, &["DCGM_FI_DEV_FB_USED"]).times(MEBIBYTE),
        Family::sum(Role::GpuMemoryUsed, &["gpu_used_vram"]).times(MEGABYTE),
        Family {
            also: &["DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_RESERVED"],
            ..Family::sum(Role::GpuMemoryTotal, &["DCGM_FI_DEV_FB_FREE"]).times(MEBIBYTE)
        },
        Family::sum(Role::GpuMemoryTotal, &["gpu_total_vram", "gpu_total_memory"]).times(MEGABYTE),
        Family::mean(Role::GpuMemoryBandwidth, &["DCGM_FI_PROF_DRAM_ACTIVE"]),
        Family::mean(Role::GpuMemoryBandwidth, &["DCGM_FI_DEV_MEM_COPY_UTIL", "gpu_umc_activity"])
            .times(PERCENT),
        Family::mean(Role::GpuPower, &["DCGM_FI_DEV_POWER_USAGE", "gpu_power_usage"]),
        Family::mean(Role::GpuPowerLimit, &["DCGM_FI_DEV_POWER_MGMT_LIMIT"]),
    ],
    histograms: &[],
    model_label: None,
    model_any_case: false,
    identity: &[
        "UUID",
        "gpu",
        "GPU_I_ID",
        "GPU_UUID",
        "gpu_id",
        "serial_number",
        "gpu_partition_id",
        "Hostname",
        "hostname",
    ],
    alive: &[],
};
