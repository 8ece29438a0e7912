/*
 * ec2_xml_node.h - the places in EC2's documents that the XML reader knows.
 */
#ifndef AWS_EC2_XML_NODE_H
#define AWS_EC2_XML_NODE_H

/* Places in EC2's documents, as told by the path from the root. */
enum node {
    NODE_SKIP, /* an element this program does not ask for */
    NODE_DOCUMENT,
    NODE_RESULT,
    NODE_REFUSAL,
    NODE_REQUEST_ID,
    NODE_NEXT_TOKEN,
    NODE_ERRORS,
    NODE_ERROR,
    NODE_ERROR_CODE,
    NODE_ERROR_MESSAGE,
    NODE_RESERVATIONS,
    NODE_RESERVATION,
    NODE_INSTANCES,
    NODE_INSTANCE,
    NODE_INSTANCE_ID,
    NODE_STATE,
    NODE_STATE_NAME,
    NODE_TAGS,
    NODE_TAG,
    NODE_TAG_KEY,
    NODE_TAG_VALUE,
    NODE_GROUP_REFS,
    NODE_GROUP_REF,
    NODE_GROUP_REF_ID,
    NODE_INTERFACES,
    NODE_INTERFACE,
    NODE_GROUPS,
    NODE_GROUP,
    NODE_GROUP_ID,
    NODE_GROUP_NAME,
    NODE_PERMISSIONS,
    NODE_PERMISSION,
    NODE_PROTOCOL,
    NODE_FROM_PORT,
    NODE_TO_PORT,
    NODE_RANGES,
    NODE_RANGE,
    NODE_CIDR,
    NODE_REGIONS,
    NODE_REGION,
    NODE_REGION_NAME,
    NODE_OPT_IN_STATUS,
    NNODES
};

#endif
