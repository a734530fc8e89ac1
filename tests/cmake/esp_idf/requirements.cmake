# What ESP-IDF does first: it runs each component's CMakeLists.txt in script mode, where
# idf_component_register notes what the component asks for and leaves the file. Further down lies
# project(), which is an error in this mode. The project's configuration is not known yet.
set(ESP_PLATFORM 1)
set(CMAKE_BUILD_EARLY_EXPANSION 1)

macro(idf_component_register)
  message(STATUS "registered ${ARGN}")
  return()
endmacro()

include(${SV2_SOURCE}/CMakeLists.txt)
