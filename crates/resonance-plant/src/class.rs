//! The closed lists: kinds of equipment and kinds of industrial model. The published summaries
//! name only some of them; the lists are this product's own reading. What each one means is a
//! data file under `classes/` ([`crate::definition`]).

use std::fmt;

macro_rules! closed_list {
    ($(#[$doc:meta])* $list:ident from $folder:literal { $($(#[$item_doc:meta])* $item:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $list { $($(#[$item_doc])* $item,)* }

        impl $list {
            /// Every member.
            pub const ALL: &[Self] = &[$(Self::$item),*];

            /// The name in files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$item => $name,)* }
            }

            /// The member with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|member| member.name() == name)
            }

            /// Its data file under `classes/`, TOML.
            pub(crate) const fn file(self) -> &'static str {
                match self {
                    $(Self::$item => include_str!(concat!(
                        "../../../classes/", $folder, "/", $name, ".toml"
                    )),)*
                }
            }
        }

        impl fmt::Display for $list {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

closed_list! {
    /// A kind of equipment; fixes which points an asset is expected to have.
    EquipmentClass from "equipment" {
        /// UA/MachineTool and UA/CNC, MTConnect.
        CncMachineTool = "cnc_machine_tool",
        /// UA/PlasticsRubber.
        InjectionMoldingMachine = "injection_molding_machine",
        /// VDA 5050.
        AgvSchedulingSystem = "agv_scheduling_system",
        /// UA/Robotics.
        IndustrialRobot = "industrial_robot",
        /// UA/MachineVision.
        VisionInspection = "vision_inspection",
        /// Viscosity, temperature, spray parameters; names unverified.
        CoatingLine = "coating_line",
        /// UA/PackML.
        PackagingMachine = "packaging_machine",
        /// SECS/GEM vocabulary; names unverified.
        SemiconductorPackaging = "semiconductor_packaging",
        /// UA/MetalForming.
        MetalFormingPress = "metal_forming_press",
        /// UA/IJT.
        JoiningSystem = "joining_system",
        /// Digital twin of a warehouse.
        WarehouseSystem = "warehouse_system",
        /// Industrial internet of things.
        SmartSensor = "smart_sensor",
    }
}

closed_list! {
    /// A kind of industrial model; fixes the meaning of its outputs.
    ModelCategory from "models" {
        /// When a part will need service.
        PredictiveMaintenance = "predictive_maintenance",
        /// How long a part will last.
        RemainingUsefulLife = "remaining_useful_life",
        /// Whether behaviour is unusual.
        AnomalyDetection = "anomaly_detection",
        /// Whether a part looks right.
        VisualInspection = "visual_inspection",
        /// How good a part will be.
        QualityPrediction = "quality_prediction",
        /// Which settings would be better.
        ProcessOptimization = "process_optimization",
        /// Settings followed continuously.
        AdaptiveControl = "adaptive_control",
        /// How to move.
        MotionPlanning = "motion_planning",
        /// A quantity without a sensor of its own.
        SoftSensor = "soft_sensor",
        /// How to use less energy.
        EnergyOptimization = "energy_optimization",
        /// What to do when.
        Scheduling = "scheduling",
        /// A fast stand-in for a simulation.
        SimulationSurrogate = "simulation_surrogate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_twelve_of_each_and_names_match_serde() {
        assert_eq!((EquipmentClass::ALL.len(), ModelCategory::ALL.len()), (12, 12));
        for class in EquipmentClass::ALL {
            let text = toml::Value::try_from(class).unwrap();
            assert_eq!(text.as_str(), Some(class.name()));
        }
        for category in ModelCategory::ALL {
            let text = toml::Value::try_from(category).unwrap();
            assert_eq!(text.as_str(), Some(category.name()));
        }
    }
}
